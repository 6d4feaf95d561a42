/**
 * `routes`: what a change of one service among two thousand costs the gateway's data path: the longest turn of its
 * event loop after a change of endpoints, and of an Ingress; and how long it takes until it listens with all of them.
 * Without the time in which the thread was ready to run, and others had the processors.
 */
import { readFileSync } from 'node:fs';
import { type CoreService, CoreServiceKind } from '../../src/api/core/service.ts';
import { type EndpointSlice, EndpointSliceKind, serviceNameLabel } from '../../src/api/discovery/endpoint-slice.ts';
import { apiVersionOf, type Kind } from '../../src/api/kind.ts';
import type { KubeObject } from '../../src/api/meta.ts';
import { type Ingress, IngressKind } from '../../src/api/networking/ingress.ts';
import { labels } from '../../src/api/serving/names.ts';
import { type Revision, RevisionKind } from '../../src/api/serving/revision.ts';
import { startGateway } from '../../src/gateway/index.ts';
import type { Client, WatchEvent } from '../../src/kube/client.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { median } from './start.ts';

const services = 2_000;
const rounds = 30;
const turnsAfterChange = 20;
const namespace = 'default';

export async function run() {
  const figures: Record<string, number> = {};
  const table = [['services', 'until it listens', 'blocked by a change of endpoints', 'blocked by an Ingress']];
  for (const count of [services / 4, services]) {
    const { listensMs, endpointsMs, ingressMs } = await measure(count);
    const worst = (values: number[]) => `${median(values).toFixed(2)} ms, at most ${Math.max(...values).toFixed(2)} ms`;
    table.push([String(count), `${listensMs.toFixed(0)} ms`, worst(endpointsMs), worst(ingressMs)]);
    if (count !== services) continue;
    figures.listens_ms = listensMs;
    figures.endpoints_blocked_ms = median(endpointsMs);
    figures.ingress_blocked_ms = median(ingressMs);
    figures.blocked_most_ms = Math.max(...endpointsMs, ...ingressMs);
  }
  return { figures, table };
}

async function measure(count: number) {
  const api = new FakeApi();
  for (let at = 0; at < count; at++) api.add(...objectsOf(at));
  const startedMs = performance.now();
  const gateway = await startGateway({
    client: api.client,
    port: 0,
    autoscaler: { url: 'http://127.0.0.1:9' }, // Nobody listens there: nothing is asked for.
    id: 'bench',
    clock: systemClock,
    log: silentLogger,
  });
  const listensMs = performance.now() - startedMs;
  const endpointsMs: number[] = [];
  const ingressMs: number[] = [];
  await longestTurnMs(() => {});
  for (let round = 0; round < rounds; round++) {
    const at = (round * 61) % count;
    endpointsMs.push(await longestTurnMs(() => api.change(sliceOf(at, 4000 + round))));
    ingressMs.push(await longestTurnMs(() => api.change(ingressOf(at, round + 2))));
  }
  await gateway.stop();
  return { listensMs, endpointsMs, ingressMs };
}

async function longestTurnMs(act: () => void): Promise<number> {
  let longest = 0;
  for (let turn = 0; turn < turnsAfterChange; turn++) {
    const waitedMs = waitedForProcessorMs();
    const beforeMs = performance.now();
    if (turn === 0) act();
    await new Promise((resolve) => setImmediate(resolve));
    const tookMs = performance.now() - beforeMs;
    longest = Math.max(longest, tookMs - (waitedForProcessorMs() - waitedMs));
  }
  return longest;
}

/** Of this thread, by now; 0 where the system does not say. */
function waitedForProcessorMs(): number {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[1]) / 1e6;
  } catch {
    return 0; // Not Linux: turns are as long as the clock says.
  }
}

const nameOf = (at: number) => `service-${at}-00001`;

function objectsOf(at: number): KubeObject[] {
  const name = nameOf(at);
  const revision: Revision = {
    apiVersion: apiVersionOf(RevisionKind),
    kind: 'Revision',
    metadata: { name, namespace, generation: 1 },
    spec: { containers: [{ name: 'user-container', image: 'x' }], timeoutSeconds: 300, containerConcurrency: 0 },
  };
  const service: CoreService = {
    apiVersion: apiVersionOf(CoreServiceKind),
    kind: 'Service',
    metadata: { name, namespace, labels: { [labels.revision]: name } },
    spec: { ports: [{ name: 'http', port: 80 }] },
  };
  return [revision, service, sliceOf(at, 8080), ingressOf(at, 1)];
}

function sliceOf(at: number, port: number): EndpointSlice {
  return {
    apiVersion: apiVersionOf(EndpointSliceKind),
    kind: 'EndpointSlice',
    metadata: { name: `${nameOf(at)}-1`, namespace, labels: { [serviceNameLabel]: nameOf(at) } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port }],
    endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
  };
}

function ingressOf(at: number, generation: number): Ingress {
  const host = `service-${at}.${namespace}`;
  const split = { serviceNamespace: namespace, serviceName: nameOf(at), servicePort: 80, percent: 100 };
  const appendHeaders = { 'Knative-Serving-Revision': nameOf(at), 'Knative-Serving-Namespace': namespace };
  const http = { paths: [{ splits: [{ ...split, appendHeaders }] }] };
  return {
    apiVersion: apiVersionOf(IngressKind),
    kind: 'Ingress',
    metadata: { name: `service-${at}`, namespace, generation, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: {
      rules: [
        { hosts: [`${host}.svc.cluster.local`, `${host}.svc`, host], visibility: 'ClusterLocal', http },
        { hosts: [`${host}.localhost`], visibility: 'ExternalIP', http },
      ],
    },
  };
}

/** Watches only: what is there, and then each change. */
class FakeApi {
  readonly #objects: KubeObject[] = [];
  readonly #watches = new Map<string, (event: WatchEvent<KubeObject>) => void>();
  #version = 1;

  add(...objects: KubeObject[]): void {
    this.#objects.push(...objects.map((object) => this.#versioned(object)));
  }

  change(object: KubeObject): void {
    this.#watches.get(object.kind)?.({ type: 'MODIFIED', object: this.#versioned(object) });
  }

  #versioned(object: KubeObject): KubeObject {
    const resourceVersion = String(this.#version++);
    return { ...object, metadata: { ...object.metadata, uid: object.metadata.name, resourceVersion } };
  }

  get client(): Client {
    const watch = (kind: Kind, { signal }: { signal: AbortSignal }) => this.#watch(kind.kind, signal);
    return { watch } as unknown as Client;
  }

  async *#watch(kind: string, signal: AbortSignal): AsyncGenerator<WatchEvent<KubeObject>> {
    for (const object of this.#objects) if (object.kind === kind) yield { type: 'ADDED', object };
    yield { type: 'BOOKMARK', resourceVersion: String(this.#version), isInitialEnd: true };
    const queue: WatchEvent<KubeObject>[] = [];
    let wake = () => {};
    this.#watches.set(kind, (event) => {
      queue.push(event);
      wake();
    });
    signal.addEventListener('abort', () => wake());
    while (!signal.aborted) {
      yield* queue.splice(0);
      if (queue.length > 0 || signal.aborted) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
}
