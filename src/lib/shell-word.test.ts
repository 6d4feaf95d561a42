import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { shellWord } from './shell-word.ts';

test('a shell reads a word as the text that it stands for, whatever that is', () => {
  for (const text of ['', 'plain/path-1.2', 'two words', "it's", '$(echo no) `echo no` $HOME', '"\\!*?~', 'a\nb']) {
    assert.equal(execFileSync('/bin/sh', ['-c', `printf %s ${shellWord(text)}`], { encoding: 'utf8' }), text);
  }
});
