import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { PodKind } from '../../../api/core/pod.ts';
import { systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import type { PodLogs } from '../../pod-logs.ts';
import { type ApiServer, openApiServer } from '../index.ts';

/** Says which container it is asked for. */
const podLogs: PodLogs = {
  async *read(_pod, { container }) {
    yield Buffer.from(`log of ${container}\n`);
  },
};

describe("the log of a pod's container", () => {
  let dir: string;
  let api: ApiServer;
  let url: string;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-pod-log-'));
    api = await openApiServer({ dataDir: dir, clock: systemClock, log: silentLogger, kinds: [], podLogs });
    ({ url } = await api.listen({ port: 0 }));
    const image = 'registry.localhost/a:1';
    for (const [name, initContainers, containers] of [
      ['one', [], ['main']],
      ['prepared', ['init'], ['main']],
      ['two', ['init'], ['a', 'b']],
    ] as const) {
      await api.client.create(PodKind, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { namespace: 'kube-system', name },
        spec: {
          initContainers: initContainers.map((container) => ({ name: container, image })),
          containers: containers.map((container) => ({ name: container, image })),
        },
      });
    }
  });
  after(async () => {
    await api.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  async function logOf(path: string): Promise<string> {
    const read = (name: string) => readFileSync(join(dir, 'pki', name));
    const identity = { ca: read('ca.crt'), cert: read('admin.crt'), key: read('admin.key') };
    const [pod, query = ''] = path.split('?');
    const target = `${url}/api/v1/namespaces/kube-system/pods/${pod}/log?${query}`;
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(target, { ...identity, agent: false }, resolve).on('error', reject);
    });
    let text = '';
    for await (const chunk of response) text += chunk;
    return `${response.statusCode} ${response.statusCode === 200 ? text : JSON.parse(text).message}`;
  }

  for (const [path, expected] of [
    ['one', '200 log of main\n'],
    ['prepared', '200 log of main\n'],
    ['prepared?container=init', '200 log of init\n'],
    ['two?container=b', '200 log of b\n'],
    ['two?container=c', '400 container c is not valid for pod two'],
    [
      'two',
      '400 a container name must be specified for pod two, choose one of: [a b] or one of the init containers: [init]',
    ],
    ['one?tailLines=-1', '400 the parameter tailLines is "-1": give a whole number from 0'],
  ] as const) {
    test(`of ${path}: ${expected.trim()}`, async () => {
      assert.equal(await logOf(path), expected);
    });
  }
});
