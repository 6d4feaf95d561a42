import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findProgram, systemPath } from './system-programs.ts';

test('programs are looked for where the user says, and where the system has those for root', () => {
  const path = systemPath('/opt/one:bin::/usr/bin');
  assert.equal(path, '/opt/one:/usr/bin:/usr/local/sbin:/usr/sbin:/sbin:/bin');
  assert.ok(systemPath('').split(':').includes('/usr/sbin'));
});

test('a program is found by its name, in the first folder that has it', () => {
  assert.match(findProgram('sh', '/nowhere:/usr/bin:/bin') ?? '', /^\/(usr\/)?bin\/sh$/);
  assert.equal(findProgram('no-such-program'), undefined);
});
