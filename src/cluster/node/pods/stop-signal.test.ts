import assert from 'node:assert/strict';
import { test } from 'node:test';
import { signalNumber } from './stop-signal.ts';

for (const [text, expected] of [
  ['SIGTERM', 15],
  ['TERM', 15],
  ['sigquit', 3],
  ['15', 15],
  ['SIG9', 9],
  [' INT ', 2],
  ['0', undefined],
  ['-1', undefined],
  ['1e1', undefined],
  ['', undefined],
  ['SIG', undefined],
  ['SIGNONSENSE', undefined],
  ['__proto__', undefined],
  ['constructor', undefined],
] as const) {
  test(`the stop signal ${JSON.stringify(text)} is ${expected ?? 'none'}`, () =>
    assert.equal(signalNumber(text), expected));
}

const linux = { skip: process.platform !== 'linux' && 'there are no real-time signals' };
for (const [text, expected] of [
  ['SIGRTMIN', 34],
  ['SIGRTMIN+3', 37],
  ['rtmax-1', 63],
  ['SIGRTMAX', 64],
  ['64', 64],
  ['65', undefined],
  ['SIGRTMIN-1', undefined],
  ['SIGRTMIN+31', undefined],
  ['SIGRTMAX+1', undefined],
  ['SIGRTMIN+', undefined],
] as const) {
  test(`the stop signal ${text} is ${expected ?? 'none'}, as on Linux`, linux, () =>
    assert.equal(signalNumber(text), expected),
  );
}
