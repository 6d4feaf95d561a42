import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BuildLog } from './log.ts';

test('a log keeps so many bytes, in whichever script they are written, and begins with a whole line', () => {
  const log = new BuildLog(1000);
  for (let i = 0; i < 500; i++) log.say(`${i} 海鴎`);
  assert.ok(Buffer.byteLength(log.text()) <= 2000);
  const kept = log.tail(300);
  assert.ok(Buffer.byteLength(kept) <= 304, `${Buffer.byteLength(kept)}`);
  assert.match(kept, /^…\n\d+ 海鴎\n(.*\n)*499 海鴎\n$/);
});
