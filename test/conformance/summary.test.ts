import assert from 'node:assert/strict';
import { test } from 'node:test';
import { summaryOf } from './summary.ts';

test('what a suite of Go printed is counted by its top tests', () => {
  const passed =
    '=== RUN   TestA\n    --- PASS: TestA/one (0.00s)\n--- PASS: TestA (0.10s)\n--- SKIP: TestB (0.00s)\nPASS\n';
  const { line, failed, text } = summaryOf(passed);
  assert.deepEqual([line, failed], ['1 passed, 0 failed, 1 skipped', 0]);
  assert.doesNotMatch(text, /=== RUN/);
});

test('a failure is shown with all that the tests said', () => {
  const { line, failed, text } = summaryOf('--- PASS: TestA (1s)\n--- FAIL: TestB (1s)\n    b.go:7: no\nFAIL\n');
  assert.deepEqual([line, failed], ['1 passed, 1 failed, 0 skipped', 1]);
  assert.match(text, /b\.go:7: no/);
});

test('a suite that ended before its tests did has failed, whatever passed until then', () => {
  const { line, text } = summaryOf('--- PASS: TestA (1s)\npanic: test timed out after 1s\n');
  assert.equal(line, '1 passed, 1 failed, 0 skipped');
  assert.match(text, /timed out/);
  assert.equal(summaryOf('').failed, 1);
});
