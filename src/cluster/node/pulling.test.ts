import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createServer, request as httpRequest, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import type { Pod } from '../../api/core/pod.ts';
import { SecretKind } from '../../api/core/secret.ts';
import { ServiceAccountKind } from '../../api/core/service-account.ts';
import { RegistryClient } from '../../registry/index.ts';
import { openTestRegistry, type TestRegistry } from './testing/test-images.ts';
import { openTestNode, type TestNode } from './testing/test-node.ts';

describe('pulling images for pods', () => {
  let registry: TestRegistry;
  let node: TestNode;
  let client: RegistryClient;
  let front: Server;
  let host: string;
  /** What the registry in front does with a request; by default, it asks for the password. */
  let behaviour: RequestListener | undefined;

  before(async () => {
    registry = await openTestRegistry();
    front = createServer((request, response) => {
      if (behaviour) return behaviour(request, response);
      const { authorization } = request.headers;
      if (authorization !== `Basic ${Buffer.from('kit:wake').toString('base64')}`) {
        return void response.writeHead(401, { 'www-authenticate': 'Basic realm="front"' }).end();
      }
      pass(request, response);
    });
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    host = `127.0.0.1:${(front.address() as AddressInfo).port}`;
    client = new RegistryClient({ timeouts: { idleMs: 300, answerMs: 1_000, transferMs: 1_000 } });
    node = await openTestNode(client);
  });
  after(async () => {
    await node.stop();
    client.close();
    front.closeAllConnections();
    front.close();
    await registry.stop();
  });
  afterEach(() => {
    behaviour = undefined;
  });

  const pass: RequestListener = ({ method, url, headers }, response) => {
    const { authorization: _, host: __, ...others } = headers;
    const asked = httpRequest(new URL(url ?? '/', registry.url), { method, headers: others }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    asked.on('error', () => response.destroy());
    asked.end();
  };

  /** An image of its own, behind the front. */
  async function image(text: string): Promise<string> {
    const program = `console.log(${JSON.stringify(text)}); setInterval(() => {}, 1000);`;
    return (await registry.push([{ 'app/main.mjs': program }])).replace('registry.localhost', host);
  }

  const waitingOf = (pod: Pod | undefined) => pod?.status?.containerStatuses?.[0]?.state?.waiting;
  const isRunning = (pod: Pod | undefined) => pod?.status?.containerStatuses?.[0]?.state?.running !== undefined;
  const waitsFor = (name: string, reason: string) =>
    node.until(name, reason, (pod) => waitingOf(pod)?.reason === reason);

  function secret(name: string, users: Record<string, string>) {
    const auths = Object.fromEntries(
      Object.entries(users).map(([place, text]) => [place, { auth: Buffer.from(text).toString('base64') }]),
    );
    return node.client.create(SecretKind, {
      ...{ apiVersion: 'v1', kind: 'Secret' },
      metadata: { name, namespace: 'default' },
      type: 'kubernetes.io/dockerconfigjson',
      stringData: { '.dockerconfigjson': JSON.stringify({ auths }) },
    });
  }

  test('a pod gets its image with the Secrets that it names, one after the other, and events say how', async () => {
    const reference = await image('private');
    await secret('wrong', { [`${host}/test`]: 'kit:guess' });
    await secret('right', { [host]: 'kit:wake' });
    const imagePullSecrets = [{ name: 'gone' }, { name: 'wrong' }, { name: 'right' }];
    await node.run('private', reference, {}, { imagePullSecrets });
    const pod = await node.until('private', 'running', isRunning);
    assert.equal(pod.status?.containerStatuses?.[0]?.imageID, reference);
    const events = await node.events('private', 'Pulled');
    const said = (start: string) => events.find((event) => event.startsWith(start)) ?? events.join('\n');
    assert.match(said('FailedToRetrieve'), /Unable to retrieve some image pull secrets \(gone\); attempting to pull/);
    assert.match(said('Pulling'), new RegExp(`Pulling image "${reference}"$`));
    const pulled =
      /Successfully pulled image "\S+" in [\d.]+m?s \([\d.]+m?s including waiting\)\. Image size: \d+ bytes\.$/;
    assert.match(said('Pulled'), pulled);
    await node.remove('private');
  });

  test('a pod that names none gets it with those of its ServiceAccount', async () => {
    const reference = await image('of an account');
    await secret('of-account', { [host]: 'kit:wake' });
    await node.client.create(ServiceAccountKind, {
      ...{ apiVersion: 'v1', kind: 'ServiceAccount' },
      metadata: { name: 'puller', namespace: 'default' },
      imagePullSecrets: [{ name: 'of-account' }],
    });
    await node.run('account', reference, {}, { serviceAccountName: 'puller' });
    await node.until('account', 'running', isRunning);
    await node.remove('account');
  });

  test('without a password that helps, the registry says no, and what follows is back-off', async () => {
    await node.run('refused', await image('refused'));
    const pod = await waitsFor('refused', 'ErrImagePull');
    assert.match(waitingOf(pod)?.message ?? '', /failed to pull and unpack image .* 401/);
    const backing = await waitsFor('refused', 'ImagePullBackOff');
    assert.match(
      waitingOf(backing)?.message ?? '',
      /^Back-off pulling image ".*": ErrImagePull: failed to pull .* 401/,
    );
    const events = (await node.events('refused', 'BackOff')).join('\n');
    for (const expected of [/Failed to pull image ".*": .*401/, /Error: ErrImagePull/, /Back-off pulling image "/]) {
      assert.match(events, expected);
    }
    await node.remove('refused');
  });

  test('an image that nobody can name, and one that may not be pulled, wait with the reason', async () => {
    await node.run('unnamed', 'Not/A Name');
    assert.match(
      waitingOf(await waitsFor('unnamed', 'InvalidImageName'))?.message ?? '',
      /^Failed to apply default image tag "Not\/A Name": couldn't parse image name/,
    );
    assert.match((await node.events('unnamed', 'InspectFailed')).join('\n'), /couldn't parse image name/);
    await node.remove('unnamed');
    await node.run('never', await image('never'), { imagePullPolicy: 'Never' });
    assert.match(
      waitingOf(await waitsFor('never', 'ErrImageNeverPull'))?.message ?? '',
      /^Container image ".*" is not present with pull policy of Never$/,
    );
    await node.remove('never');
  });

  for (const [what, blob, expected] of [
    ['lies', (): RequestListener => (_, response) => void response.end('lies'), /has the digest|came with the content/],
    [
      'truncates',
      (): RequestListener => (_, response) => {
        response.writeHead(200, { 'content-length': 1_000 });
        response.write('x', () => setImmediate(() => response.destroy()));
      },
      /127\.0\.0\.1:\d+\/test\/\w+/,
    ],
    ['stalls', (): RequestListener => (_, response) => void response.write('x'), /nothing came or went|within \d+ ms/],
    ['is full of zeros', (): RequestListener => (_, response) => void response.end(Buffer.alloc(100_000)), /more than/],
  ] as const) {
    test(`a registry that ${what} is an ErrImagePull that says so, and leaves nothing behind`, async () => {
      const before = readdirSync(join(node.dir, 'node/images/layers'));
      const reference = await image(what);
      const pulled = (await registry.client.manifest(reference.replace(host, 'registry.localhost'))).manifest;
      behaviour = (request, response) => {
        const isLayer = pulled.layers?.some(({ digest }) => request.url?.endsWith(digest));
        return isLayer ? blob()(request, response) : pass(request, response);
      };
      const name = what.replace(/\W/g, '-');
      await node.run(name, reference);
      const pod = await waitsFor(name, 'ErrImagePull');
      assert.match(waitingOf(pod)?.message ?? '', expected);
      assert.deepEqual(readdirSync(join(node.dir, 'node/images/layers')), before);
      await node.remove(name);
    });
  }
});
