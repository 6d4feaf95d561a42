import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EventKind } from '../../../api/core/event.ts';
import { NamespaceKind } from '../../../api/core/namespace.ts';
import { isPodReady, type Pod, PodKind, portsAnnotation } from '../../../api/core/pod.ts';
import type { Container, PodSpec } from '../../../api/core/pod-spec.ts';
import { isAlreadyExists } from '../../../api/status.ts';
import type { Client } from '../../../kube/client.ts';
import { Informer } from '../../../kube/informer.ts';
import { systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { type ApiServer, openApiServer } from '../../apiserver/index.ts';
import { type NodeAgent, type NodeAgentOptions, startNodeAgent } from '../agent.ts';
import type { Driver, DriverOptions } from '../driver.ts';
import { chooseDriver } from '../drivers/choose.ts';
import type { ImageSource } from '../images/store.ts';

export interface TestNode {
  client: Client;
  dir: string;
  agent: NodeAgent;
  /** Creates a pod in `default` with one container `c` that listens on 8080; `spec` and `container` add to it. */
  run(name: string, image: string, container?: Partial<Container>, spec?: Partial<PodSpec>): Promise<Pod>;
  /** Waits until the pod (undefined when it is gone) is as wanted; throws, with its last state, after 15 s. */
  until(name: string, what: string, isWanted: (pod: Pod | undefined) => boolean): Promise<Pod>;
  ready(name: string): Promise<Pod>;
  /** Deletes the pod and waits until it is gone. */
  remove(name: string): Promise<void>;
  logs(pod: Pod, options?: { previous?: boolean }): Promise<string>;
  /** The reasons and messages of a pod's events, once one has the reason `reason`. */
  events(name: string, reason: string): Promise<string[]>;
  /** Ends the agent and starts another on the same folder and API server. */
  restartAgent(options: { stopPods: boolean; meanwhile?: () => Promise<void> }): Promise<void>;
  stop(): Promise<void>;
}

type OptionsOfTests =
  | 'quarantine'
  | 'podsMax'
  | 'storagePeriodMs'
  | 'expectedPods'
  | 'sparesMax'
  | 'housekeepingPeriodMs';

interface NodeOptions extends Partial<Pick<NodeAgentOptions, OptionsOfTests>> {
  /** The machine's own, unless given. */
  openDriver?: (options: DriverOptions) => Driver;
}

const patienceMs = 15_000;

/** A real API server with a node agent and a driver, in a folder of its own. */
export async function openTestNode(registry: ImageSource, agentOptions: NodeOptions = {}): Promise<TestNode> {
  const dir = mkdtempSync(join(tmpdir(), 'kittiwake-node-'));
  const { expectedPods } = agentOptions;
  const shared = { clock: systemClock, log: silentLogger, kinds: [] };
  const api = await openApiServer({ ...shared, dataDir: dir, ...(expectedPods && { expectedPods }) });
  await ensureDefaultNamespace(api.client);
  let agent = await startAgent(dir, api, registry, agentOptions);
  const pods = new Informer(api.client, PodKind, { clock: systemClock, log: silentLogger });
  pods.start();
  await pods.synced;
  const { client } = api;

  const until: TestNode['until'] = (name, what, isWanted) =>
    new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        const { status, metadata } = current() ?? {};
        reject(new Error(`${name} is not ${what}: ${JSON.stringify({ status, metadata }, undefined, 1)}`));
      }, patienceMs);
      const current = () => pods.get({ namespace: 'default', name });
      const look = () => {
        const pod = current();
        if (!isWanted(pod)) return false;
        clearTimeout(late);
        resolve(pod as Pod);
        return true;
      };
      if (!look()) pods.onChange(look);
    });

  return {
    client,
    dir,
    get agent() {
      return agent;
    },
    run: (name, image, container = {}, spec = {}) =>
      client.create(PodKind, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'default' },
        spec: {
          containers: [
            {
              name: 'c',
              image,
              ports: [{ containerPort: 8080 }],
              readinessProbe: { tcpSocket: { port: 8080 } },
              ...container,
            },
          ],
          ...spec,
        },
      }),
    until,
    ready: (name) => until(name, 'ready', (pod) => pod !== undefined && isPodReady(pod)),
    async remove(name) {
      await client.delete(PodKind, { namespace: 'default', name });
      await until(name, 'gone', (pod) => pod === undefined);
    },
    async logs(pod, options = {}) {
      const chunks: Buffer[] = [];
      const { signal } = new AbortController();
      const { name: container = '' } = pod.spec.containers[0] ?? {};
      for await (const chunk of agent.podLogs.read(pod, { container, signal, ...options })) chunks.push(chunk);
      return Buffer.concat(chunks).toString();
    },
    async events(name, reason) {
      for (let waitedMs = 0; ; waitedMs += 50) {
        const { items } = await client.list(EventKind, { namespace: 'default' });
        const mine = items.filter((event) => event.involvedObject.name === name);
        if (mine.some((event) => event.reason === reason)) return mine.map((e) => `${e.reason}: ${e.message}`);
        if (waitedMs > patienceMs) throw new Error(`${name} has no event ${reason}: ${JSON.stringify(mine)}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async restartAgent(options) {
      await agent.stop(options);
      await options.meanwhile?.();
      agent = await startAgent(dir, api, registry, agentOptions);
    },
    async stop() {
      await pods.stop();
      await agent.stop({ stopPods: true });
      await api.stop();
      rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

export function startAgent(
  dir: string,
  { client }: Pick<ApiServer, 'client'>,
  registry: ImageSource,
  { openDriver = chooseDriver().open, ...options }: NodeOptions = {},
) {
  const dataDir = join(dir, 'node');
  mkdirSync(dataDir, { recursive: true });
  const shared = { clock: systemClock, log: silentLogger, dataDir, address: '127.0.0.1' };
  return startNodeAgent({ ...shared, client, nodeName: 'local', driver: openDriver(shared), registry, ...options });
}

export async function ensureDefaultNamespace(client: Client): Promise<void> {
  try {
    await client.create(NamespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}

/** The port of the host that stands for the pod's 8080. */
export function hostPortOf(pod: Pod): number {
  return JSON.parse(pod.metadata.annotations?.[portsAnnotation] ?? '{}')['8080'];
}

/** What the pod answers; on a connection that is not kept, so that it does not hold up the pod's end. */
export function ask(pod: Pod, path = '/'): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port: hostPortOf(pod), path, agent: false }, async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      resolve(text);
    }).on('error', reject);
  });
}

/** A layer with /app/main.mjs. */
export const program = (text: string) => ({ 'app/': { type: 'directory' as const }, 'app/main.mjs': text });

/** Answers every request with its process id. */
export const server = `
import { createServer } from 'node:http';
process.stdout.write('listening on ' + process.env.PORT + '\\n');
createServer((request, response) => response.end(String(process.pid))).listen(process.env.PORT);
`;
