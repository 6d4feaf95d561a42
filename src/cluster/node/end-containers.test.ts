import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import { silentLogger } from '../../observe/log.ts';
import type { ContainerExit, RunningContainer } from './driver.ts';
import { endContainers } from './end-containers.ts';

/** A container that ends by one signal, or by none, and remembers what it was sent. */
function container(endsBy?: string): RunningContainer & { sent: (string | number)[] } {
  const { promise: exited, resolve } = Promise.withResolvers<ContainerExit>();
  const sent: (string | number)[] = [];
  return {
    ...{ id: { podUid: 'p', container: String(endsBy), restart: 0 }, logPath: '', startedAtMs: 0, exited, sent },
    signal(signal) {
      sent.push(signal);
      if (signal === endsBy) resolve({ exitCode: 0, isUnknown: false, finishedAtMs: 0 });
    },
    exec: () => Promise.reject(new Error('unused')),
    attach: () => Promise.reject(new Error('unused')),
    stats: async () => undefined,
  };
}

test('containers are told to end, then killed, and nobody waits for those that even that does not end', async () => {
  const clock = new VirtualClock();
  const told: unknown[] = [];
  const log = { ...silentLogger, warn: (fields: object) => told.push(fields) };
  const [polite, rude, stuck] = [container('SIGTERM'), container('SIGKILL'), container()];
  let isOver = false;
  const ended = endContainers([polite, rude, stuck], { clock, log, killAfterMs: 800 }).then(() => {
    isOver = true;
  });
  await clock.advance(799);
  assert.deepEqual([polite.sent, rude.sent, stuck.sent], [['SIGTERM'], ['SIGTERM'], ['SIGTERM']]);
  await clock.advance(1);
  assert.deepEqual([polite.sent, rude.sent], [['SIGTERM'], ['SIGTERM', 'SIGKILL']]);
  assert.equal(isOver, false);
  await clock.advance(60_000);
  await ended;
  assert.deepEqual(told, [{ container: stuck.id }]);
});

test('it is over as soon as all have ended', async () => {
  const clock = new VirtualClock();
  await endContainers([container('SIGTERM')], { clock, log: silentLogger, killAfterMs: 800 });
  const killed = container('SIGKILL');
  await endContainers([killed], { clock, log: silentLogger, killAfterMs: 0 });
  assert.deepEqual(killed.sent, ['SIGKILL']);
  await endContainers([], { clock, log: silentLogger, killAfterMs: 800 });
});
