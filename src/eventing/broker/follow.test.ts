import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { openWorld } from '../../../test/world.ts';
import { NamespaceKind } from '../../api/core/namespace.ts';
import { type Broker, BrokerKind } from '../../api/eventing/broker.ts';
import type { Kind } from '../../api/kind.ts';
import type { Key, KubeObject } from '../../api/meta.ts';
import type { Client, WatchEvent, WatchOptions } from '../../kube/client.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../observe/log.ts';
import { startBroker } from './index.ts';
import { logsIn, removeDir, testDir, until } from './testing/fixture.ts';

test('a change that comes while an earlier one is worked on is not put back by it', async (t) => {
  const dir = await testDir();
  const { client, stop } = await openWorld();
  const create = (name: string) =>
    client.create(BrokerKind, {
      apiVersion: 'eventing.knative.dev/v1',
      kind: 'Broker',
      metadata: { namespace: 'default', name },
    } as Broker);
  const seen = new Set<string>();
  const asked = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  let questions = 0;
  const slow: Client = Object.create(client, {
    watch: {
      async *value<T extends KubeObject>(kind: Kind<T>, options: WatchOptions): AsyncGenerator<WatchEvent<T>> {
        for await (const event of client.watch(kind, options)) {
          yield event;
          if ('object' in event) seen.add(event.object.metadata.name);
        }
      },
    },
    get: {
      async value<T extends KubeObject>(kind: Kind<T>, key: Key) {
        if (kind.kind !== NamespaceKind.kind) return client.get(kind, key);
        questions++;
        asked.resolve();
        await answered.promise;
        return client.get(kind, key);
      },
    },
  });
  await create('first');
  const broker = await startBroker({
    client: slow,
    dir,
    backend: logsIn(dir),
    port: 0,
    clock: systemClock,
    log: silentLogger,
  });
  t.after(async () => {
    answered.resolve();
    await broker.stop();
    await stop();
    await removeDir(dir);
  });
  await asked.promise;
  await create('second');
  await until(() => seen.has('second'));
  for (let i = 0; i < 10; i++) await setImmediate();
  assert.equal(questions, 1, 'the second change waits');
  answered.resolve();
  const event = { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/s', 'ce-type': 't' };
  await until(async () => {
    const { status } = await fetch(`${broker.url}/default/second`, { method: 'POST', headers: event });
    return status === 202;
  });
});
