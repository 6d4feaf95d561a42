/** A platform with what the corpus is used on: a service, a backend and a subscriber that answer from the corpus. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { BrokerKind } from '../../src/api/eventing/broker.ts';
import { TriggerKind } from '../../src/api/eventing/trigger.ts';
import { type Service, ServiceKind } from '../../src/api/serving/service.ts';
import { isReady } from '../kit/conditions.ts';
import { eventually, newDataDir, startTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { events } from './corpus/events.ts';
import { replies } from './corpus/replies.ts';
import { credentialsOf } from './doors.ts';

const canary = `require('node:http').createServer((q, s) => { q.resume(); q.on('end', () => s.end('alive')); })
  .listen(process.env.PORT);`;
/** Answers request /N with the Nth reply of the corpus as it is, and then closes, unless somebody else does before. */
const replier = `const cases = require(process.env.CASES);
require('node:net').createServer((socket) => {
  socket.on('error', () => {});
  socket.once('data', (data) => {
    const found = cases[Number(/^\\w+ \\/(\\d+)/.exec(data)?.[1])];
    if (found === undefined) return socket.end('HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n');
    socket.write(Buffer.from(found, 'base64'));
    setTimeout(() => socket.end(), 200);
  });
}).listen(process.env.PORT);`;

export interface HostileWorld {
  platform: TestPlatform;
  /** Ids of events that reached the subscriber. */
  delivered: Set<string>;
  /** A request to the API with the credentials of the kubeconfig; -1 when the connection was broken off. */
  api(method: string, path: string, body?: string, type?: string): Promise<{ status: number; text: string }>;
  stop(): Promise<void>;
}

export async function openHostileWorld(): Promise<HostileWorld> {
  const { dataDir, remove } = newDataDir();
  const platform = await startTestPlatform(dataDir);
  const delivered = new Set<string>();
  const subscriber = await startSubscriber(delivered);
  const cases = join(dataDir, 'replies.json');
  writeFileSync(
    cases,
    JSON.stringify(Object.values(replies).map((reply) => Buffer.from(reply as string).toString('base64'))),
  );
  await deploy(platform, 'canary', canary, {});
  await deploy(platform, 'replier', replier, { CASES: cases });
  await subscribe(platform, `http://127.0.0.1:${(subscriber.address() as AddressInfo).port}/`);
  return {
    platform,
    delivered,
    api: apiOf(platform),
    async stop() {
      assert.equal(await platform.stop(), 0, 'the platform stops in order');
      subscriber.close();
      subscriber.closeAllConnections();
      remove();
    },
  };
}

/** Takes every event, and answers each with the next hostile one; those of the canary are taken with thanks. */
async function startSubscriber(delivered: Set<string>): Promise<Server> {
  const messages = Object.values(events);
  let next = 0;
  const server = createServer((request, response) => {
    const id = String(request.headers['ce-id'] ?? '');
    delivered.add(id);
    request.resume();
    const message = id.startsWith('canary') ? undefined : messages[next++ % messages.length];
    response.on('error', () => {});
    request.on('error', () => {}); // The broker may have had enough.
    try {
      if (message) response.writeHead(200, message.headers).end(message.body);
      else response.writeHead(204).end();
    } catch {
      response.writeHead(500).end(); // Not even Node's server can send this one.
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

async function deploy({ client }: TestPlatform, name: string, program: string, env: Record<string, string>) {
  const service: Service = {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: {
      build: { source: { files: { 'server.js': program, 'package.json': '{"main": "server.js"}' } } },
      template: {
        metadata: { annotations: { 'autoscaling.knative.dev/min-scale': '1' } },
        spec: {
          containers: [
            {
              name: '',
              image: 'build://output',
              env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
            },
          ],
        },
      },
    },
  };
  await client.create(ServiceKind, service);
  const key = { namespace: 'default', name };
  await eventually(`${name} ready`, async () => isReady(await client.get(ServiceKind, key)) || undefined, 60_000);
}

async function subscribe({ client }: TestPlatform, uri: string): Promise<void> {
  const metadata = { name: 'hostile', namespace: 'default' };
  await client.create(BrokerKind, { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', metadata, spec: {} });
  await client.create(TriggerKind, {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Trigger',
    metadata,
    spec: { broker: 'hostile', subscriber: { uri } },
  });
  await eventually('the trigger ready', async () => isReady(await client.get(TriggerKind, metadata)) || undefined);
}

function apiOf(platform: TestPlatform): HostileWorld['api'] {
  const credentials = credentialsOf(platform);
  return (method, path, body = '', type = 'application/json') =>
    new Promise((resolve) => {
      const headers = { 'content-type': type, 'content-length': Buffer.byteLength(body) };
      const outgoing = httpsRequest(`${platform.addresses.apiUrl}${path}`, {
        method,
        headers,
        agent: false,
        ...credentials,
      });
      let text = '';
      outgoing.once('error', () => resolve({ status: -1, text }));
      outgoing.once('response', (response) => {
        response.on('error', () => resolve({ status: -1, text }));
        response.on('data', (chunk) => {
          if (text.length < 10_000) text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      });
      outgoing.end(body);
    });
}

/** Resident memory of a process, in bytes. */
export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}
