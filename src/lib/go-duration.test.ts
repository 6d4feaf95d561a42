import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatGoDuration, parseGoDurationMs } from './go-duration.ts';

test('durations in the syntax of Go are read as milliseconds', () => {
  const cases: Record<string, number | undefined> = {
    '0': 0,
    '60s': 60_000,
    '1h30m': 5_400_000,
    '1.5s': 1_500,
    '-2m': -120_000,
    '250ms': 250,
    '1us': 0.001,
    '': undefined,
    '60': undefined,
    s: undefined,
    '1 s': undefined,
    '1d': undefined,
    '1h-30m': undefined,
    '1e3s': undefined,
  };
  for (const [text, ms] of Object.entries(cases)) assert.equal(parseGoDurationMs(text), ms, text);
});

test('what is written is read back', () => {
  fc.assert(
    fc.property(fc.integer({ min: -10_000_000, max: 10_000_000 }), (seconds) => {
      assert.equal(parseGoDurationMs(formatGoDuration(seconds * 1000)), seconds * 1000);
    }),
  );
  assert.equal(formatGoDuration(3_600_000), '1h0m0s');
  assert.equal(formatGoDuration(90_000), '1m30s');
});
