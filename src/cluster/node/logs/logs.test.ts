import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Pod } from '../../../api/core/pod.ts';
import type { Clock } from '../../../lib/clock.ts';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import type { LogOptions } from '../../pod-logs.ts';
import { LogFiles } from './log-files.ts';
import { podLogs } from './pod-logs.ts';

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'default', name: 'p', uid: 'u1' },
  spec: { containers: [{ name: 'c' }] },
};

describe('logs of containers', () => {
  let dir: string;
  let clock: VirtualClock;
  let files: LogFiles;
  let path: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-logs-'));
    clock = new VirtualClock(Date.UTC(2026, 0, 1));
    files = new LogFiles({ dir, clock, log: silentLogger, maxFileBytes: 100, maxFiles: 3, maxDeadPods: 2 });
    path = openRun(0);
  });
  afterEach(() => {
    files.close();
    rmSync(dir, { recursive: true, force: true });
  });

  function openRun(restart: number): string {
    const run = files.pathOf(pod.metadata, 'c', restart);
    mkdirSync(dirname(run), { recursive: true });
    appendFileSync(run, '');
    files.opened(run);
    return run;
  }

  const write = (text: string) => appendFileSync(path, text);

  async function read(options: Partial<LogOptions> = {}): Promise<string> {
    const chunks: Buffer[] = [];
    const logs = podLogs(files, clock);
    for await (const chunk of logs.read(pod, { container: 'c', signal: new AbortController().signal, ...options }))
      chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  }

  test('a log is what was written, with a last line that has no newline yet', async () => {
    write('one\ntwo\nthr');
    assert.equal(await read(), 'one\ntwo\nthr');
  });

  test('tailLines gives the last lines', async () => {
    write('one\ntwo\nthree\n');
    for (const [lines, expected] of [
      [0, ''],
      [1, 'three\n'],
      [2, 'two\nthree\n'],
      [9, 'one\ntwo\nthree\n'],
    ] as const) {
      assert.equal(await read({ tailLines: lines }), expected);
    }
    write('four');
    assert.equal(await read({ tailLines: 2 }), 'three\nfour');
  });

  test('limitBytes cuts', async () => {
    write('one\ntwo\n');
    assert.equal(await read({ limitBytes: 5 }), 'one\nt');
  });

  test('a log that is too long is rotated; three files are kept, and reading goes over all of them', async () => {
    for (let i = 0; i < 40; i++) {
      write(`line ${String(i).padStart(3, '0')}\n`);
      await clock.advance(500);
    }
    assert.deepEqual(readdirSync(dirname(path)).sort(), ['0.log', '0.log.1', '0.log.2', '0.times']);
    const text = await read();
    assert.ok(text.endsWith('line 038\nline 039\n') && text.startsWith('line 0'));
    assert.equal(text.split('\n').length - 1, text.length / 9);
    assert.ok(text.length > 200 && text.length <= 350);
    assert.equal(await read({ tailLines: 15 }), text.slice(-15 * 9));
  });

  test('of a log that grows by far more than a file may have, the last part is kept', async () => {
    write('x'.repeat(5_000_000));
    write(`${'y'.repeat(99)}\n`);
    await clock.advance(500);
    assert.equal(statSync(`${path}.1`).size, 200);
    write('after\n');
    const text = await read();
    assert.deepEqual([text.length, text.slice(-8)], [206, 'y\nafter\n']);
    assert.equal(await read({ tailLines: 1 }), 'after\n');
  });

  test('sinceSeconds and timestamps go by when a line was seen', async () => {
    write('old\n');
    await clock.advance(60_000);
    write('new\n');
    await clock.advance(1_000);
    assert.equal(await read({ sinceSeconds: 30 }), 'new\n');
    assert.equal(await read({ sinceSeconds: 300 }), 'old\nnew\n');
    const stamps = (await read({ timestamps: true })).split('\n').map((line) => line.slice(0, 30));
    assert.deepEqual(stamps.slice(0, 2), ['2026-01-01T00:00:00.500000000Z', '2026-01-01T00:01:00.500000000Z']);
  });

  test('times survive the agent and a rotation', async () => {
    write('old\n');
    await clock.advance(1_000);
    write(`${'x'.repeat(120)}\n`);
    await clock.advance(1_000);
    files.close();
    files = new LogFiles({ dir, clock, log: silentLogger, maxFileBytes: 100 });
    write('new\n');
    await clock.advance(60_000);
    files.opened(path);
    const lines = (await read({ timestamps: true })).split('\n');
    assert.match(lines[0] ?? '', /^2026-01-01T00:00:00.500000000Z old$/);
    assert.match(lines[2] ?? '', /^2026-01-01T00:01:02.000000000Z new$/);
  });

  test('follow goes on over a rotation until the container ends', async () => {
    write('first\n');
    const following = read({ follow: true });
    let expected = 'first\n';
    for (let i = 0; i < 30; i++) {
      write(`line ${i}\n`);
      expected += `line ${i}\n`;
      await clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    files.closed(path);
    let isDone = false;
    void following.then(() => {
      isDone = true;
    });
    while (!isDone) await clock.advance(100);
    assert.equal(await following, expected);
  });

  test('follow ends when the reader goes away', async () => {
    const abort = new AbortController();
    const following = read({ follow: true, signal: abort.signal });
    await clock.advance(1_000);
    abort.abort();
    assert.equal(await following, '');
  });

  test('previous is the run before; older ones are removed', async () => {
    write('run 0\n');
    for (const restart of [1, 2]) {
      files.closed(path);
      path = openRun(restart);
      write(`run ${restart}\n`);
    }
    assert.equal(await read(), 'run 2\n');
    assert.equal(await read({ previous: true }), 'run 1\n');
    assert.deepEqual(
      readdirSync(dirname(path)).filter((name) => name.startsWith('0.')),
      [],
    );
  });

  test('however often the only run ends and another begins, one timer looks after the logs', async () => {
    let timers = 0;
    const counting: Clock = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after(delayMs, task) {
        timers++;
        return clock.after(delayMs, task);
      },
    };
    const restarting = new LogFiles({ dir, clock: counting, log: silentLogger });
    for (let run = 0; run < 10; run++) {
      restarting.opened(path);
      restarting.closed(path);
    }
    restarting.opened(path);
    timers = 0;
    await clock.advance(5_000);
    assert.equal(timers, 10);
    restarting.close();
    await clock.advance(5_000);
    assert.equal(timers, 10);
  });

  test('what cannot be read says why', async () => {
    await assert.rejects(read({ previous: true }), /previous terminated container "c" in pod "p" not found/);
    rmSync(dirname(path), { recursive: true });
    await assert.rejects(read(), /container "c" in pod "p" is waiting to start: ContainerCreating/);
  });

  test('of pods that are gone, only the logs of the last few are kept', async () => {
    for (const uid of ['a', 'b', 'c', 'd']) {
      const gone = files.pathOf({ namespace: 'default', name: 'gone', uid }, 'c', 0);
      mkdirSync(dirname(gone), { recursive: true });
      appendFileSync(gone, 'x');
    }
    await files.collect([pod.metadata]);
    assert.equal(readdirSync(dir).filter((name) => name.includes('gone')).length, 2);
    assert.ok(existsSync(path));
    assert.equal(readFileSync(path, 'utf8'), '');
  });
});
