import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { harmless } from './terminal.ts';

test('what others wrote cannot drive the terminal', () => {
  const table: Record<string, string> = {
    'a\tb\nc\r\nd': 'a\tb\nc\r\nd',
    'Grüße, 世界 🐦': 'Grüße, 世界 🐦',
    '\u001b[2J\u001b[H': '^[[2J^[[H',
    '\u001b]0;title\u0007': '^[]0;title^G',
    '\u001b[31mred\u001b[0m': '\u001b[31mred\u001b[0m',
    '\u001b[5mblink': '^[[5mblink',
    'done\rfail': 'done^Mfail',
    '\u009b2J\u0085\u007f\0': '\\u009b2J\\u0085^?^@',
    'user\u202etxt.exe': 'user\\u202etxt.exe',
  };
  for (const [text, shown] of Object.entries(table)) assert.equal(harmless(text), shown);
});

test('nothing that is shown holds an escape but those of colours, and showing it again changes nothing', () => {
  const texts = fc.string({ unit: fc.constantFrom('\u001b', '[', '0', '1', '3', 'm', ']', '\r', '\n', '\u009b', 'x') });
  fc.assert(
    fc.property(texts, (text) => {
      const shown = harmless(text);
      const colours = ['0', '1', '2', '31', '32'].map((code) => `\u001b[${code}m`);
      const plain = colours.reduce((rest, colour) => rest.replaceAll(colour, ''), shown).replaceAll(/\r?\n/g, '');
      assert.doesNotMatch(plain, /\p{Cc}/u);
      assert.equal(harmless(shown), shown);
    }),
  );
});
