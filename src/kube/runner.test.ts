import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openWorld, type World } from '../../test/world.ts';
import { type ConfigMap, ConfigMapKind } from '../api/core/config-map.ts';
import { type Secret, SecretKind } from '../api/core/secret.ts';
import type { Kind } from '../api/kind.ts';
import { ApiError } from '../api/status.ts';
import { systemClock } from '../lib/clock.ts';
import { silentLogger } from '../observe/log.ts';
import type { Client } from './client.ts';
import { ensure, NotOwnedError } from './ensure.ts';
import { type Controller, owned, type ReconcileContext, TerminalError, type Watch } from './reconciler.ts';
import { runControllers } from './runner.ts';

const ended = (signal: AbortSignal) =>
  new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));

const configMap = (name: string, data: Record<string, string> = {}): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
  data,
});

/** Runs `use` in a world with one controller of ConfigMaps, and waits for what it reconciles through `next`. */
async function withController(
  controller: Partial<Controller<ConfigMap>> & Pick<Controller<ConfigMap>, 'reconcile'>,
  use: (world: World, until: (isEnough: () => boolean) => Promise<void>) => Promise<void>,
): Promise<void> {
  let wake = () => {};
  const world = await openWorld({
    kinds: [],
    controllers: [
      {
        name: 'test',
        kind: ConfigMapKind,
        ...controller,
        async reconcile(object, context) {
          if (object.metadata.namespace !== 'default') return;
          try {
            return await controller.reconcile(object, context);
          } finally {
            wake();
          }
        },
        onGone(key) {
          try {
            controller.onGone?.(key);
          } finally {
            wake();
          }
        },
      } satisfies Controller<ConfigMap>,
    ],
  });
  const until = async (isEnough: () => boolean) => {
    while (!isEnough()) await new Promise<void>((resolve) => (wake = resolve));
  };
  try {
    await use(world, until);
  } finally {
    await world.stop();
  }
}

describe('the runner', () => {
  test('reconciles each object after each change, with the newest copy, and tells when it is gone', async () => {
    const seen: string[] = [];
    const gone: string[] = [];
    await withController(
      {
        async reconcile(object) {
          seen.push(object.data?.value ?? '');
        },
        onGone: (key) => gone.push(key.name),
      },
      async ({ client }, until) => {
        const stored = await client.create(ConfigMapKind, configMap('a', { value: '1' }));
        await until(() => seen.includes('1'));
        await client.update(ConfigMapKind, { ...stored, data: { value: '2' } });
        await until(() => seen.includes('2'));
        await client.delete(ConfigMapKind, { namespace: 'default', name: 'a' });
        await until(() => gone.includes('a'));
      },
    );
  });

  test('tries again after an error, but not after a TerminalError', async () => {
    const attempts: Record<string, number> = {};
    await withController(
      {
        async reconcile({ metadata: { name } }) {
          attempts[name] = (attempts[name] ?? 0) + 1;
          if (name === 'hopeless') throw new TerminalError('it cannot be');
          if (name === 'flaky' && attempts[name] < 4) throw new Error('not yet');
        },
      },
      async ({ client }, until) => {
        await client.create(ConfigMapKind, configMap('hopeless'));
        await client.create(ConfigMapKind, configMap('flaky'));
        await until(() => attempts.flaky === 4);
        assert.equal(attempts.hopeless, 1);
      },
    );
  });

  test('comes back when asked to, without any change', async () => {
    let count = 0;
    await withController(
      {
        async reconcile({ metadata: { name } }) {
          if (name === 'again' && ++count < 3) return { requeueAfterMs: 1 };
        },
      },
      async ({ client }, until) => {
        await client.create(ConfigMapKind, configMap('again'));
        await until(() => count === 3);
      },
    );
  });

  test('a change of a dependent calls for its owner, which finds it in the cache', async () => {
    const found: string[][] = [];
    await withController(
      {
        watches: [owned(SecretKind, ConfigMapKind)],
        async reconcile(object, { cache }) {
          found.push(cache.ownedBy(SecretKind, object).map((secret) => secret.metadata.name));
        },
      },
      async ({ client, cache }, until) => {
        const owner = await client.create(ConfigMapKind, configMap('owner'));
        await until(() => found.length > 0);
        await ensure({ client, cache, config: () => ({}) }, SecretKind, secret('child'), { owner });
        await until(() => found.at(-1)?.length === 1);
        await client.delete(SecretKind, { namespace: 'default', name: 'child' });
        await until(() => found.at(-1)?.length === 0);
      },
    );
  });

  test('a watch whose mapping throws holds up neither other copies nor other watches', async () => {
    const calls: string[] = [];
    const fragile: Watch = {
      kind: SecretKind,
      keys({ metadata: { labels } }) {
        if (labels?.broken) throw new Error('cannot be mapped');
        return [{ namespace: 'default', name: 'by-old' }];
      },
    };
    const sturdy: Watch = { kind: SecretKind, keys: () => [{ namespace: 'default', name: 'by-other' }] };
    await withController(
      {
        watches: [fragile, sturdy],
        async reconcile({ metadata: { name } }) {
          calls.push(name);
        },
      },
      async ({ client }, until) => {
        for (const name of ['by-old', 'by-other']) await client.create(ConfigMapKind, configMap(name));
        const stored = await client.create(SecretKind, secret('s'));
        await until(() => calls.length >= 4);
        calls.length = 0;
        await client.update(SecretKind, {
          ...stored,
          metadata: { ...stored.metadata, labels: { broken: 'yes' } },
        });
        await until(() => calls.length >= 2);
        assert.deepEqual(calls.sort(), ['by-old', 'by-other']);
      },
    );
  });

  test('forgetting an object is tried again when it fails', async () => {
    let attempts = 0;
    await withController(
      {
        async reconcile() {},
        onGone() {
          if (++attempts < 3) throw new Error('not yet');
        },
      },
      async ({ client }, until) => {
        await client.create(ConfigMapKind, configMap('a'));
        await client.delete(ConfigMapKind, { namespace: 'default', name: 'a' });
        await until(() => attempts === 3);
      },
    );
  });

  test('a reconcile that runs out of stack is a failed reconcile', async () => {
    const attempts: Record<string, number> = {};
    const deepen = (depth: number): number => deepen(depth + 1) + 1;
    await withController(
      {
        async reconcile({ metadata: { name } }) {
          attempts[name] = (attempts[name] ?? 0) + 1;
          if (name === 'deep' && attempts[name] < 3) deepen(0);
        },
      },
      async ({ client }, until) => {
        await client.create(ConfigMapKind, configMap('deep'));
        await client.create(ConfigMapKind, configMap('flat'));
        await until(() => attempts.deep === 3 && attempts.flat === 1);
      },
    );
  });

  test('a kind that does not come holds up its own controllers, and whoever reads it, until it does', async () => {
    const world = await openWorld({ kinds: [] });
    const mayCome = Promise.withResolvers<void>();
    const client: Client = {
      ...world.client,
      async *watch(kind, options) {
        if (kind.kind === SecretKind.kind) await Promise.race([mayCome.promise, ended(options.signal)]);
        yield* world.client.watch(kind, options);
      },
    };
    const done: string[] = [];
    let wake = () => {};
    const until = async (isEnough: () => boolean) => {
      while (!isEnough()) await new Promise<void>((resolve) => (wake = resolve));
    };
    const note = (what: string) => {
      done.push(what);
      wake();
    };
    const controller = (name: string, more: Partial<Controller<ConfigMap>>): Controller => ({
      name,
      kind: ConfigMapKind as Kind,
      reconcile: async () => note(name),
      ...(more as Partial<Controller>),
    });
    const secrets: Controller = { name: 'secrets', kind: SecretKind as Kind, reconcile: async () => note('secrets') };
    const starting = runControllers(
      [
        secrets,
        controller('watching', { watches: [{ kind: SecretKind, keys: () => [] }] }),
        controller('reading', {
          async reconcile(_object, { cache }) {
            if (!done.includes('read')) note('read');
            assert.equal(cache.list(SecretKind).length, 1);
            note('reading');
          },
        }),
        controller('neither', { start: () => note('start') }),
      ],
      { client, clock: systemClock, log: silentLogger },
    );
    try {
      await world.client.create(SecretKind, secret('a'));
      await world.client.create(ConfigMapKind, configMap('a'));
      await until(() => done.includes('neither') && done.includes('read'));
      assert.equal(done[0], 'start');
      assert.ok(!['secrets', 'watching', 'reading'].some((name) => done.includes(name)), done.join());
      mayCome.resolve();
      await until(() => ['secrets', 'watching', 'reading'].every((name) => done.includes(name)));
    } finally {
      await (await starting).stop();
      await world.stop();
    }
  });

  test('a kind that is refused does not keep the others from being ready', async () => {
    const world = await openWorld({ kinds: [] });
    const client: Client = {
      ...world.client,
      watch(kind, options) {
        if (kind.kind === SecretKind.kind) throw new ApiError(403, 'Forbidden', 'secrets is forbidden');
        return world.client.watch(kind, options);
      },
    };
    const of = (kind: Kind): Controller => ({ name: kind.plural, kind, reconcile: async () => {} });
    const running = await runControllers([of(SecretKind as Kind), of(ConfigMapKind as Kind)], {
      client,
      clock: systemClock,
      log: silentLogger,
    });
    try {
      assert.ok(running.cache.has(ConfigMapKind as Kind));
      assert.ok(!running.cache.has(SecretKind as Kind));
      assert.throws(() => running.cache.list(SecretKind), /Secret objects are not known yet/);
    } finally {
      await running.stop();
      await world.stop();
    }
  });

  test('reading a kind that nobody watches is refused', async () => {
    await withController({ async reconcile() {} }, async ({ cache }) => {
      assert.throws(() => cache.get(SecretKind, { name: 'x' }), /Secret is not in the cache/);
    });
  });
});

const secret = (name: string, stringData: Record<string, string> = {}): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: 'default' },
  stringData,
});

describe('ensure', () => {
  const withContext = async (
    use: (context: Pick<ReconcileContext, 'client' | 'cache' | 'config'>) => Promise<void>,
  ) => {
    const world = await openWorld({ kinds: [] });
    try {
      await use({ client: world.client, cache: world.cache, config: () => ({}) });
    } finally {
      await world.stop();
    }
  };

  test('creates what is missing, then writes only what differs', async () => {
    await withContext(async (context) => {
      const first = await ensure(context, SecretKind, secret('s', { a: '1' }));
      const again = await ensure(context, SecretKind, secret('s', { a: '1' }));
      assert.equal(again.metadata.resourceVersion, first.metadata.resourceVersion);
      const changed = await ensure(context, SecretKind, secret('s', { a: '2' }));
      assert.notEqual(changed.metadata.resourceVersion, first.metadata.resourceVersion);
      assert.equal(changed.data?.a, Buffer.from('2').toString('base64'));
    });
  });

  test('keeps the labels of others, and lets the caller say what changes', async () => {
    await withContext(async (context) => {
      const { client } = context;
      const labelled = configMap('c', { a: '1' });
      labelled.metadata.labels = { theirs: 'x' };
      await client.create(ConfigMapKind, labelled);
      const desired = configMap('c', { b: '2' });
      desired.metadata.labels = { ours: 'y' };
      const merged = await ensure(context, ConfigMapKind, desired, {
        update: (current, wanted) => ({ ...current, data: { ...current.data, ...wanted.data } }),
      });
      assert.deepEqual(merged.data, { a: '1', b: '2' });
      const replaced = await ensure(context, ConfigMapKind, desired);
      assert.deepEqual(replaced.metadata.labels, { theirs: 'x', ours: 'y' });
      assert.deepEqual(replaced.data, { b: '2' });
    });
  });

  test("refuses to take another owner's object", async () => {
    await withContext(async (context) => {
      const { client } = context;
      const owner = await client.create(ConfigMapKind, configMap('owner'));
      const other = await client.create(ConfigMapKind, configMap('other'));
      await ensure(context, SecretKind, secret('s'), { owner });
      await assert.rejects(ensure(context, SecretKind, secret('s'), { owner: other }), NotOwnedError);
    });
  });
});
