import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isoDurationMs } from './duration.ts';

test('ISO 8601 durations of weeks, days and time are milliseconds, and nothing else is one', () => {
  const table: [text: string, ms: number | undefined][] = [
    ['PT0.2S', 200],
    ['PT1M', 60_000],
    ['PT1H30M', 5_400_000],
    ['P1DT12H', 129_600_000],
    ['P2W', 1_209_600_000],
    ['PT0S', 0],
    ['P', undefined],
    ['PT', undefined],
    ['P1DT', undefined],
    ['5s', undefined],
    ['P1M', undefined],
    ['P1Y', undefined],
    ['-PT1S', undefined],
    ['', undefined],
  ];
  for (const [text, ms] of table) assert.equal(isoDurationMs(text), ms, text);
});
