import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type EndOfRun, messageMount, messagePathOf, terminatedState } from './terminated.ts';

describe('what is said of a run that has ended', () => {
  let dir: string;
  let messagePath: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-terminated-'));
    messagePath = join(dir, 'message');
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const stateOf = (exit: Partial<EndOfRun['exit']>, more: Partial<EndOfRun> = {}) =>
    terminatedState({
      exit: { exitCode: 0, isUnknown: false, finishedAtMs: 2_000, ...exit },
      startedAtMs: 1_000,
      containerId: 'toy://uid/c/0',
      container: {},
      messagePath,
      lastOutput: () => 'last lines',
      ...more,
    }).terminated;

  for (const [what, exit, expected] of [
    ['well', { exitCode: 0 }, ['Completed', 0, undefined]],
    ['with an error', { exitCode: 3 }, ['Error', 3, undefined]],
    ['by a signal', { exitCode: 143, signal: 15 }, ['Error', 143, 15]],
    ['for want of memory', { exitCode: 137, signal: 9, isOutOfMemory: true }, ['OOMKilled', 137, 9]],
    ['unseen', { exitCode: 137, isUnknown: true }, ['ContainerStatusUnknown', 137, undefined]],
  ] as const) {
    test(`a run that ended ${what} is ${expected[0]}`, () => {
      const state = stateOf(exit);
      assert.deepEqual([state?.reason, state?.exitCode, state?.signal], expected);
      assert.deepEqual(
        [state?.startedAt, state?.finishedAt, state?.containerID],
        ['1970-01-01T00:00:01Z', '1970-01-01T00:00:02Z', 'toy://uid/c/0'],
      );
    });
  }

  test('its message is what it wrote to its file, whether it failed or not, at most the last 4096 bytes', () => {
    writeFileSync(messagePath, `${'x'.repeat(10)}${'y'.repeat(4096)}`);
    assert.equal(stateOf({ exitCode: 0 })?.message, 'y'.repeat(4096));
    writeFileSync(messagePath, 'why');
    assert.equal(stateOf({ exitCode: 1 })?.message, 'why');
  });

  test('its message is the end of its log only if its policy says so, it failed, and it wrote none', () => {
    const container = { terminationMessagePolicy: 'FallbackToLogsOnError' } as const;
    assert.equal(stateOf({ exitCode: 1 })?.message, undefined);
    assert.equal(stateOf({ exitCode: 1 }, { container })?.message, 'last lines');
    assert.equal(stateOf({ exitCode: 0 }, { container })?.message, undefined);
    writeFileSync(messagePath, 'why');
    assert.equal(stateOf({ exitCode: 1 }, { container })?.message, 'why');
  });

  test('what is no file is no message: neither a link to another, nor a pipe that nobody writes to', () => {
    symlinkSync('/etc/passwd', messagePath);
    assert.equal(stateOf({ exitCode: 1 })?.message, undefined);
    rmSync(messagePath);
    execFileSync('mkfifo', [messagePath]);
    assert.equal(stateOf({ exitCode: 1 })?.message, undefined);
    assert.match(stateOf({}, { messagePath: join(dir, 'message/in/it') })?.message ?? '', /^Error on reading/);
  });

  test('each run has an empty file of its own that any user can write to', async () => {
    const path = messagePathOf(dir, { container: 'c', restart: 2 });
    const mounts = await messageMount({ terminationMessagePath: '/dev/termination-log' }, path);
    assert.deepEqual(mounts, [{ source: path, path: '/dev/termination-log', isReadOnly: false }]);
    assert.deepEqual([statSync(path).size, statSync(path).mode & 0o777], [0, 0o666]);
    assert.notEqual(path, messagePathOf(dir, { container: 'c', restart: 3 }));
    assert.deepEqual(await messageMount({ terminationMessagePath: '' }, path), []);
  });
});
