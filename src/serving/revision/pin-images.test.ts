import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { RevisionKind } from '../../api/serving/revision.ts';
import { Quarantine } from '../../lib/quarantine.ts';
import { afterwards } from '../../lib/testing/afterwards.ts';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import { RegistryClient } from '../../registry/index.ts';
import { digest, inDefault, openServingWorld, stateOf } from '../testing/serving-world.ts';
import { asksRegistry, DigestQueue, type DigestResolver, ImageError } from './digest-queue.ts';

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** Registries that take connections and never say a word; `hosts` are their names in references. */
async function openDeadRegistries(count: number) {
  const sockets = new Set<Socket>();
  const servers = Array.from({ length: count }, () => createServer((socket) => void sockets.add(socket)));
  const ports = await Promise.all(servers.map(listen));
  return {
    sockets,
    hosts: ports.map((port) => `127.0.0.1:${port}`),
    close() {
      for (const socket of sockets) socket.destroy();
      for (const server of servers) server.close();
    },
  };
}

test('dead registries hold up nobody but the revisions that ask them', async (t) => {
  const dead = await openDeadRegistries(12);
  const living = createHttpServer((_request, response) => {
    response.writeHead(200, { 'docker-content-digest': digest }).end();
  });
  const host = `127.0.0.1:${await listen(living)}`;
  const mirrors = Object.fromEntries([...dead.hosts, host].map((name) => [name, `http://${name}`]));
  afterwards(t, () => {
    dead.close();
    living.closeAllConnections();
    living.close();
  });
  const serving = await openServingWorld(t, new RegistryClient({ mirrors }));
  await Promise.all(
    dead.hosts.flatMap((name, i) =>
      [0, 1].map((j) => serving.createService(`dead-${i}-${j}`, { image: `${name}/app:v${j}` })),
    ),
  );
  const waiting = await serving.revision('dead-0-0-00001', (r) => stateOf(r, 'Ready') === 'Unknown ResolvingDigests');
  assert.equal(waiting.status?.containerStatuses, undefined);
  while (dead.sockets.size < 24) await setImmediate();
  await serving.createService('web', { image: `${host}/app:v1` });
  const pinned = await serving.revision('web-00001', (r) => r.status?.containerStatuses !== undefined);
  assert.equal(pinned.status?.containerStatuses?.[0]?.imageDigest, `${host}/app@${digest}`);
  const still = await serving.revision('dead-0-0-00001', () => true);
  assert.equal(stateOf(still, 'Ready'), 'Unknown ResolvingDigests');
});

test('an image that is missing says so, and is found once it is pushed', async (t) => {
  let isThere = false;
  let asked = 0;
  const resolver: DigestResolver = {
    async resolve() {
      asked++;
      if (!isThere) throw new Error('HTTP 404: manifest unknown');
      return digest;
    },
  };
  const clock = new VirtualClock(Date.now());
  const serving = await openServingWorld(t, resolver, { clock });
  /** Lets time go by slowly, for retries after conflicts, until the revision is so. */
  const passUntil = async (state: string) => {
    let isSo = false;
    const found = serving.revision('web-00001', (r) => stateOf(r, 'ContainerHealthy') === state);
    void found.then(() => (isSo = true)).catch(() => (isSo = true)); // What it fails with, the last line throws.
    while (!isSo) await clock.advance(1);
    await found;
  };
  await serving.createService('web', { image: 'registry.example/late:v1' });
  await passUntil('False ContainerMissing');
  assert.equal(asked, 1);
  await serving.client.patch(RevisionKind, inDefault('web-00001'), {
    type: 'merge',
    patch: { metadata: { annotations: { touched: 'yes' } } },
  });
  await clock.advance(1_000);
  assert.equal(asked, 1, 'a change of the revision asks no sooner');
  isThere = true;
  await clock.advance(10_000);
  await passUntil('Unknown Deploying');
  assert.equal(asked, 2);
});

describe('the digest queue', () => {
  /** A resolver whose answers the test gives. */
  function controlled(timeoutMs = 60_000) {
    const asked: { image: string; answer: (digest: string) => void; signal: AbortSignal | undefined }[] = [];
    const stop = new AbortController();
    const resolver: DigestResolver = {
      resolve: (image, signal) => new Promise((answer) => asked.push({ image, answer, signal })),
    };
    const options = { resolver, signal: stop.signal, quarantine: new Quarantine(), timeoutMs };
    return { asked, stop, queue: new DigestQueue(options) };
  }

  test('asks each host only so many questions at once, and each question once', async () => {
    const { asked, queue } = controlled();
    const images = Array.from({ length: 10 }, (_, i) => `slow.example/app:${i}`);
    const answers = Promise.all([...images, ...images].map((image) => queue.resolve(image)));
    await setImmediate();
    assert.deepEqual(
      asked.map(({ image }) => image),
      images.slice(0, 4),
    );
    const other = queue.resolve('quick.example/app:1');
    await setImmediate();
    assert.equal(asked.length, 5);
    asked[4]?.answer(digest);
    assert.equal(await other, `quick.example/app@${digest}`);
    for (let i = 0; i < 11; i++) {
      asked[i]?.answer(digest);
      await setImmediate();
    }
    assert.equal(asked.length, 11);
    assert.deepEqual(new Set(await answers), new Set([`slow.example/app@${digest}`]));
    const again = queue.resolve('slow.example/app:0');
    await setImmediate();
    assert.equal(asked.length, 12, 'a tag may have moved since');
    asked[11]?.answer(digest);
    await again;
  });

  test('gives up on a resolver that never answers, whatever that does with its signal', async () => {
    const { asked, queue } = controlled(1);
    await assert.rejects(queue.resolve('dead.example/app:1'), (error) => {
      assert.ok(error instanceof ImageError);
      assert.equal(
        error.message,
        'Unable to fetch image "dead.example/app:1": dead.example did not answer within 0.001 s',
      );
      return true;
    });
    assert.equal(asked[0]?.signal?.aborted, true);
  });

  test('ends with what it was started for', async () => {
    const { asked, stop, queue } = controlled();
    const resolving = queue.resolve('dead.example/app:1');
    await setImmediate();
    stop.abort(new Error('stopping'));
    await assert.rejects(resolving, /stopping/);
    assert.equal(asked[0]?.signal?.aborted, true);
    await assert.rejects(queue.resolve('dead.example/app:2'), /stopping/);
  });

  test('asks nobody about what is pinned, is of a local tool, or is no reference', async () => {
    const { asked, queue } = controlled();
    const pinned = `registry.example/app@${digest}`;
    for (const image of [pinned, 'kind.local/app:1']) assert.equal(await queue.resolve(image), image);
    await assert.rejects(queue.resolve('UPPER/case:x'), /Unable to fetch image "UPPER\/case:x": .*lower case/);
    assert.equal(asked.length, 0);
    assert.equal(asksRegistry(`registry.localhost/app@${digest}`), true, 'ours knows whether it has it');
  });

  test('leaves alone what is set aside, and says how to give it back', async () => {
    const resolver: DigestResolver = { resolve: () => assert.fail('asked') };
    const quarantine = new Quarantine({ setAside: ['image bad.example/app:1'] });
    const queue = new DigestQueue({ resolver, quarantine, signal: new AbortController().signal });
    await assert.rejects(queue.resolve('bad.example/app:1'), /"image bad.example\/app:1" is set aside.*release/);
  });
});
