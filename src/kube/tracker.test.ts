import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { ensureNamespace, openWorld, type World } from '../../test/world.ts';
import { CustomResourceDefinitionKind } from '../api/apiextensions/custom-resource-definition.ts';
import { type ConfigMap, ConfigMapKind } from '../api/core/config-map.ts';
import { NodeKind } from '../api/core/node.ts';
import { type Secret, SecretKind } from '../api/core/secret.ts';
import type { Kind } from '../api/kind.ts';
import { type KubeObject, keyOf } from '../api/meta.ts';
import { ApiError } from '../api/status.ts';
import {
  defineGadgets,
  GadgetKind,
  gadget,
  gadgetDefinitionKey,
  untilDefinition,
} from '../cluster/apiserver/testing/gadgets.ts';
import { systemClock } from '../lib/clock.ts';
import { VirtualClock } from '../lib/virtual-clock.ts';
import { silentLogger } from '../observe/log.ts';
import type { Client } from './client.ts';
import { Informers } from './informers.ts';
import type { Controller, ReconcileContext } from './reconciler.ts';
import { runControllers } from './runner.ts';
import { Tracker } from './tracker.ts';

const configMap = (namespace: string, name: string, data: Record<string, string> = {}): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace },
  data,
});

const secret = (namespace: string, name: string, value = 'first'): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace },
  stringData: { value },
});

const isNamed = ({ metadata }: KubeObject) => metadata.name !== 'kube-root-ca.crt';

describe('what a reconcile looked at', () => {
  let world: World;
  let namespaces = 0;
  before(async () => {
    world = await openWorld({ kinds: [] });
  });
  after(() => world.stop());

  async function freshNamespace(): Promise<string> {
    const name = `tracked-${++namespaces}`;
    await ensureNamespace(world.client, name);
    return name;
  }

  /** Runs a controller of ConfigMaps whose reconcile is `reconcile`; `until` waits until what it did is enough. */
  async function running(
    reconcile: (object: ConfigMap, context: ReconcileContext) => Promise<void>,
    use: (until: (isEnough: () => boolean) => Promise<void>) => Promise<void>,
    client: Client = world.client,
  ): Promise<void> {
    let wake = () => {};
    const controller: Controller<ConfigMap> = {
      name: 'looker',
      kind: ConfigMapKind,
      async reconcile(object, context) {
        try {
          if (isNamed(object)) await reconcile(object, context);
        } finally {
          wake();
        }
      },
    };
    const controllers = await runControllers([controller as Controller], {
      client,
      clock: systemClock,
      log: silentLogger,
    });
    try {
      await use(async (isEnough) => {
        while (!isEnough()) await new Promise<void>((resolve) => (wake = resolve));
      });
    } finally {
      await controllers.stop();
    }
  }

  /** `client`, noting which watches are there: of kinds, each with its namespace. */
  function noting(watches: string[], client: Client = world.client): Client {
    return {
      ...client,
      async *watch<T extends KubeObject>(kind: Kind<T>, options: Parameters<Client['watch']>[1]) {
        const name = `${kind.kind} ${options.namespace ?? '*'}`;
        watches.push(name);
        try {
          yield* client.watch(kind, options);
        } finally {
          watches.splice(watches.indexOf(name), 1);
        }
      },
    };
  }

  const textOf = (found: Secret | undefined) => found && Buffer.from(found.data?.value ?? '', 'base64').toString();

  test('calls for it when it appears, changes and goes', async () => {
    const namespace = await freshNamespace();
    const seen: (string | undefined)[] = [];
    await running(
      async ({ metadata, data }, { look }) => {
        if (metadata.namespace !== namespace) return;
        seen.push(textOf(await look(SecretKind, { namespace, name: data?.secret ?? '' })));
      },
      async (until) => {
        await world.client.create(ConfigMapKind, configMap(namespace, 'a', { secret: 'password' }));
        await until(() => seen.length === 1);
        const stored = await world.client.create(SecretKind, secret(namespace, 'password'));
        await until(() => seen.at(-1) === 'first');
        await world.client.update(SecretKind, { ...stored, stringData: { value: 'second' } } as Secret);
        await until(() => seen.at(-1) === 'second');
        await world.client.create(SecretKind, secret(namespace, 'other'));
        await world.client.delete(SecretKind, keyOf(stored));
        await until(() => seen.at(-1) === undefined);
      },
    );
    assert.deepEqual(seen, [undefined, 'first', 'second', undefined]);
  });

  test('may be known by a reference only, and be in no namespace', async () => {
    const namespace = await freshNamespace();
    const seen: (string | undefined)[] = [];
    await running(
      async ({ metadata }, { look }) => {
        if (metadata.namespace !== namespace) return;
        const found = await look({ group: '', version: 'v1', kind: 'Node' }, { namespace, name: `${namespace}-node` });
        seen.push(found?.metadata.labels?.step);
      },
      async (until) => {
        await world.client.create(ConfigMapKind, configMap(namespace, 'a'));
        await until(() => seen.length === 1);
        const metadata = { name: `${namespace}-node`, labels: { step: 'first' } };
        const node = await world.client.create(NodeKind, { apiVersion: 'v1', kind: 'Node', metadata });
        await until(() => seen.at(-1) === 'first');
        await world.client.update(NodeKind, { ...node, metadata: { ...node.metadata, labels: { step: 'second' } } });
        await until(() => seen.at(-1) === 'second');
      },
    );
    assert.deepEqual(seen, [undefined, 'first', 'second']);
  });

  test('is watched while somebody looks at it, in its namespace, and not for longer', async () => {
    const namespace = await freshNamespace();
    const watches: string[] = [];
    let looked = 0;
    await running(
      async ({ metadata, data }, { look }) => {
        if (metadata.namespace !== namespace) return;
        if (data?.secret !== undefined) await look(SecretKind, { namespace, name: data.secret });
        looked++;
      },
      async (until) => {
        const a = await world.client.create(ConfigMapKind, configMap(namespace, 'a', { secret: 'x' }));
        await world.client.create(ConfigMapKind, configMap(namespace, 'b', { secret: 'x' }));
        await until(() => looked === 2);
        assert.deepEqual(watches, ['ConfigMap *', `Secret ${namespace}`]);
        await world.client.update(ConfigMapKind, { ...a, data: {} });
        await until(() => looked === 3);
        assert.deepEqual(watches, ['ConfigMap *', `Secret ${namespace}`]);
        await world.client.delete(ConfigMapKind, { namespace, name: 'b' });
        while (watches.length > 1) await setImmediate();
        assert.deepEqual(watches, ['ConfigMap *']);
      },
      noting(watches),
    );
    assert.deepEqual(watches, []);
  });

  test('in many namespaces is watched in all of them at once', async () => {
    const names = await Promise.all(Array.from({ length: 20 }, freshNamespace));
    const watches: string[] = [];
    const seen = new Map<string, string | undefined>();
    await running(
      async ({ metadata: { namespace = '' } }, { look }) => {
        if (!names.includes(namespace)) return;
        seen.set(namespace, textOf(await look(SecretKind, { namespace, name: 'x' })));
      },
      async (until) => {
        for (const name of names) await world.client.create(ConfigMapKind, configMap(name, 'a'));
        await until(() => seen.size === names.length);
        assert.equal(watches.length, 1 + 16 + 1);
        for (const name of names) await world.client.create(SecretKind, secret(name, 'x'));
        await until(() => names.every((name) => seen.get(name) === 'first'));
      },
      noting(watches),
    );
  });

  for (const [what, reference] of [
    ['a kind that is not served', GadgetKind],
    ['what is no kind yet', { group: GadgetKind.group, version: GadgetKind.version, kind: GadgetKind.kind }],
  ] as const) {
    test(`of ${what} is called for once it is, and holds up nobody`, async () => {
      const namespace = await freshNamespace();
      const seen: string[] = [];
      await running(
        async ({ metadata }, { look }) => {
          if (metadata.namespace !== namespace) return;
          const { name } = metadata;
          const found = name === 'waits' ? await look(reference, { namespace: 'default', name: 'g' }) : undefined;
          seen.push(`${name} ${found?.metadata.name}`);
        },
        async (until) => {
          await world.client.create(ConfigMapKind, configMap(namespace, 'waits'));
          await until(() => seen.includes('waits undefined'));
          await world.client.create(ConfigMapKind, configMap(namespace, 'goes-on'));
          await until(() => seen.includes('goes-on undefined'));
          await defineGadgets(world.client);
          await world.client.create(GadgetKind, gadget('g'));
          await until(() => seen.includes('waits g'));
          await world.client.delete(CustomResourceDefinitionKind as Kind, gadgetDefinitionKey);
          await until(() => seen.at(-1) === 'waits undefined');
          await untilDefinition(world.client, (definition) => definition === undefined);
        },
      );
    });
  }

  test('of a kind that may be read but not watched is looked at again from time to time', async () => {
    const namespace = await freshNamespace();
    const forbidding: Client = {
      ...world.client,
      watch(kind, options) {
        if (kind.kind === 'Secret') throw new ApiError(403, 'Forbidden', 'secrets is forbidden');
        return world.client.watch(kind, options);
      },
    };
    const seen: (string | undefined)[] = [];
    await running(
      async ({ metadata }, { look }) => {
        if (metadata.namespace !== namespace) return;
        seen.push(textOf(await look(SecretKind, { namespace, name: 'x' })));
      },
      async (until) => {
        await world.client.create(ConfigMapKind, configMap(namespace, 'a'));
        await until(() => seen.length > 0);
        await world.client.create(SecretKind, secret(namespace, 'x'));
        await until(() => seen.at(-1) === 'first');
      },
      forbidding,
    );
  });

  test('is told to each who saw another version, and to nobody who saw this one', async () => {
    const namespace = await freshNamespace();
    const calls: string[] = [];
    await world.client.create(SecretKind, secret(namespace, 'x'));
    await running(
      async ({ metadata }, { look }) => {
        if (metadata.namespace !== namespace) return;
        calls.push(`${metadata.name} ${textOf(await look(SecretKind, { namespace, name: 'x' }))}`);
      },
      async (until) => {
        for (const name of ['a', 'b']) await world.client.create(ConfigMapKind, configMap(namespace, name));
        await until(() => calls.length === 2);
        const stored = await world.client.get(SecretKind, { namespace, name: 'x' });
        assert.ok(stored);
        await world.client.update(SecretKind, { ...stored, stringData: { value: 'second' } } as Secret);
        await until(() => calls.length === 4);
      },
    );
    assert.deepEqual(calls.toSorted(), ['a first', 'a second', 'b first', 'b second']);
  });
});

describe('a tracker whose first reading and first watch are under way together', () => {
  const key = { namespace: 'n', name: 'a' };
  const version = (resourceVersion: string): ConfigMap => {
    const object = configMap('n', 'a');
    return { ...object, metadata: { ...object.metadata, uid: 'a', resourceVersion } };
  };

  /** Answers when, and with what, the test says. */
  function scripted() {
    const read = Promise.withResolvers<ConfigMap | undefined>();
    const watched = Promise.withResolvers<ConfigMap>();
    const client = {
      get: () => read.promise,
      async *watch(_kind: unknown, { signal }: { signal: AbortSignal }) {
        yield { type: 'ADDED', object: await watched.promise };
        yield { type: 'BOOKMARK', resourceVersion: '9', isInitialEnd: true };
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      },
    } as unknown as Client;
    const informers = new Informers(client, { clock: new VirtualClock(), log: silentLogger });
    const calls: string[] = [];
    const round = new Tracker(client, informers, (who) => calls.push(who)).begin('who');
    return { calls, informers, read, watched, round, looking: round.look(ConfigMapKind, key) };
  }

  for (const [what, readVersion, expected] of [
    ['tells what came in between', '1', ['who']],
    ['does not tell what was read', '2', []],
  ] as const) {
    test(what, async (t) => {
      const { calls, informers, looking, read, watched } = scripted();
      t.after(() => informers.stop());
      watched.resolve(version('2'));
      await setImmediate();
      read.resolve(version(readVersion));
      assert.equal((await looking)?.metadata.resourceVersion, readVersion);
      await setImmediate();
      assert.deepEqual(calls, expected);
    });
  }

  test('has who read come again when the watch is refused afterwards', async (t) => {
    const { calls, informers, looking, read, round, watched } = scripted();
    t.after(() => informers.stop());
    read.resolve(undefined);
    assert.equal(await looking, undefined);
    assert.equal(round.unwatchedMs(), undefined);
    round.end(true);
    watched.reject(new ApiError(403, 'Forbidden', 'configmaps is forbidden'));
    await setImmediate();
    assert.deepEqual(calls, ['who']);
    assert.equal(round.unwatchedMs(), 2_000);
  });
});
