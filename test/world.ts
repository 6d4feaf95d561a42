import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Namespace, NamespaceKind } from '../src/api/core/namespace.ts';
import type { Kind } from '../src/api/kind.ts';
import type { Key, KubeObject } from '../src/api/meta.ts';
import { keyText } from '../src/api/meta.ts';
import { platformKinds } from '../src/api/platform.ts';
import { isAlreadyExists } from '../src/api/status.ts';
import { openApiServer } from '../src/cluster/apiserver/index.ts';
import type { ExpectedPods } from '../src/cluster/expected-pods.ts';
import type { Admission } from '../src/kube/admission.ts';
import type { Client } from '../src/kube/client.ts';
import type { Cache, Controller } from '../src/kube/reconciler.ts';
import { runControllers } from '../src/kube/runner.ts';
import { type Clock, systemClock } from '../src/lib/clock.ts';
import type { Quarantine } from '../src/lib/quarantine.ts';
import { patienceMs } from '../src/lib/testing/patience.ts';
import { type Logger, silentLogger } from '../src/observe/log.ts';
import type { Metrics } from '../src/observe/metrics.ts';

export interface WorldOptions {
  /** `platformKinds` unless given. */
  kinds?: readonly Kind[];
  /** Where the platform's ConfigMaps stand unless given. */
  namespaces?: readonly string[];
  controllers?: readonly Controller[];
  admission?: () => readonly Admission[];
  /** The system's unless given. On a virtual one retries, too, wait for the test to move it. */
  clock?: Clock;
  quarantine?: Quarantine;
  metrics?: Metrics;
  /** Known to the API server; to controllers as they were told. */
  expectedPods?: ExpectedPods;
  /** Of the controllers. */
  log?: Logger;
}

export interface World {
  client: Client;
  cache: Cache;
  clock: Clock;
  /**
   * Waits for the object to be as `isAsExpected` says, and returns it; absent objects are given as undefined. Fails
   * after some seconds, with the object as it then is.
   */
  until<T extends KubeObject>(
    kind: Kind<T>,
    key: Key,
    isAsExpected: (object: T | undefined) => unknown,
  ): Promise<T | undefined>;
  /** The same over all objects of a kind in a namespace. */
  untilAll<T extends KubeObject>(
    kind: Kind<T>,
    namespace: string | undefined,
    isAsExpected: (objects: T[]) => unknown,
  ): Promise<T[]>;
  /** Stops the controllers and the server, and removes its data folder. */
  stop(): Promise<void>;
}

/** The real API server in this process on a folder of its own, with the given controllers running against it. */
export async function openWorld(options: WorldOptions = {}): Promise<World> {
  const { kinds = platformKinds, controllers = [], admission = () => [], clock = systemClock } = options;
  const { namespaces = ['knative-serving', 'knative-eventing'] } = options;
  const dataDir = await mkdtemp(join(tmpdir(), 'kittiwake-world-'));
  const { expectedPods } = options;
  const server = await openApiServer({
    ...{ dataDir, clock, log: silentLogger, kinds, admission, namespaces },
    ...(expectedPods && { expectedPods }),
  });
  const { client } = server;
  await ensureNamespace(client, 'default');
  const running = await runControllers(controllers, {
    client,
    clock,
    log: options.log ?? silentLogger,
    ...(options.quarantine === undefined ? {} : { quarantine: options.quarantine }),
    ...(options.metrics === undefined ? {} : { metrics: options.metrics }),
  });

  async function untilAll<T extends KubeObject>(
    kind: Kind<T>,
    namespace: string | undefined,
    isAsExpected: (objects: T[]) => unknown,
  ): Promise<T[]> {
    const objects = new Map<string, T>();
    const listed = () => [...objects.values()];
    const patience = AbortSignal.timeout(patienceMs);
    const enough = new AbortController();
    const signal = AbortSignal.any([patience, enough.signal]);
    let isListed = false;
    try {
      for await (const event of client.watch(kind, { signal, ...(namespace === undefined ? {} : { namespace }) })) {
        if (event.type === 'BOOKMARK') isListed ||= event.isInitialEnd;
        else if (event.type === 'DELETED') objects.delete(nameOf(event.object));
        else objects.set(nameOf(event.object), event.object);
        if (isListed && isAsExpected(listed())) return listed();
      }
    } finally {
      enough.abort();
    }
    throw new Error(`${kind.kind} is not as expected after ${patienceMs} ms: ${JSON.stringify(listed(), null, 2)}`);
  }

  return {
    client,
    clock,
    cache: running.cache,
    untilAll,
    async until(kind, key, isAsExpected) {
      const find = <T extends KubeObject>(objects: T[]) => objects.find((object) => object.metadata.name === key.name);
      const objects = await untilAll(kind, key.namespace, (all) => isAsExpected(find(all)));
      return find(objects);
    },
    async stop() {
      await running.stop();
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Creates the namespace when it is not there. */
export async function ensureNamespace(client: Client, name: string): Promise<void> {
  const namespace: Namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
  try {
    await client.create(NamespaceKind, namespace);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}

const nameOf = ({ metadata }: KubeObject) =>
  keyText(metadata.namespace === undefined ? { name: metadata.name } : metadata);
