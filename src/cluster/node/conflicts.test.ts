import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { NodeKind } from '../../api/core/node.ts';
import { isPodReady, PodKind } from '../../api/core/pod.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { conflict } from '../../api/status.ts';
import type { Client } from '../../kube/client.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../observe/log.ts';
import { type ApiServer, openApiServer } from '../apiserver/index.ts';
import { openTestRegistry, type TestRegistry } from './testing/test-images.ts';
import { ensureDefaultNamespace, program, server, startAgent } from './testing/test-node.ts';

/** No honest retry asks as often within one turn of the event loop. */
const patience = 500;

describe('a write in conflict with one that is not on the disk yet', () => {
  let dir: string;
  let api: ApiServer;
  let registry: TestRegistry;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-conflicts-'));
    api = await openApiServer({ dataDir: dir, clock: systemClock, log: silentLogger, kinds: [] });
    await ensureDefaultNamespace(api.client);
    registry = await openTestRegistry();
  });
  after(async () => {
    await api.stop();
    await registry.stop();
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  });

  test('is tried again when the event loop has had a turn: else it would wait for itself for ever', async () => {
    const starved: string[] = [];
    const asked = new Map<string, { isFree: boolean; times: number }>();
    const client: Client = Object.create(api.client, {
      update: {
        value: async (kind: Kind, object: KubeObject, subresource?: 'status') => {
          const name = `${kind.kind} ${subresource ?? 'itself'}`;
          const seen = asked.get(name) ?? { isFree: false, times: 0 };
          if (seen.times++ === 0) setTimeout(() => Object.assign(seen, { isFree: true }), 10);
          asked.set(name, seen);
          if (seen.times > patience) starved.push(name);
          else if (!seen.isFree && (kind === PodKind || kind === NodeKind)) {
            throw conflict(kind, object.metadata.name, 'the object has been modified');
          }
          return api.client.update(kind, object, subresource);
        },
      },
    });
    const image = await registry.push([program(server)]);
    const container = {
      name: 'c',
      image,
      ports: [{ containerPort: 8080 }],
      readinessProbe: { tcpSocket: { port: 8080 } },
    };
    const agent = await startAgent(dir, { client }, registry.client);
    const key = { name: 'p', namespace: 'default' };
    await api.client.create(PodKind, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: key,
      spec: { containers: [container] },
    });
    for (let tries = 0; ; tries++) {
      const pod = await api.client.get(PodKind, key);
      if (pod && isPodReady(pod)) break;
      assert.ok(tries < 2_000, `not ready: ${JSON.stringify(pod?.status)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await agent.stop({ stopPods: true });
    assert.deepEqual(starved, []);
    for (const name of ['Pod itself', 'Pod status', 'Node status']) assert.ok((asked.get(name)?.times ?? 0) > 1, name);
  });
});
