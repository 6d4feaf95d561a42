import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { ConfigMapKind } from '../../../../api/core/config-map.ts';
import type { Pod } from '../../../../api/core/pod.ts';
import type { Volume } from '../../../../api/core/pod-spec.ts';
import { SecretKind } from '../../../../api/core/secret.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLogger } from '../../../../observe/log.ts';
import { type ApiServer, openApiServer } from '../../../apiserver/index.ts';
import { ensureDefaultNamespace } from '../../testing/test-node.ts';
import type { Place } from '../environment.ts';
import { PodVolumes } from './pod-volumes.ts';
import { VolumeRefresher } from './refresher.ts';

const pauseMs = 200;
const place: Place = {
  host: { address: '10.0.0.1', cpus: 2, memoryBytes: 2 ** 30 },
  pod: { ips: ['10.0.0.2'], ports: {} },
};

describe('volumes that follow the API', () => {
  let api: ApiServer;
  let root: string;
  let dir: string;
  let refresher: VolumeRefresher;
  const open: PodVolumes[] = [];
  let made = 0;

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'kittiwake-refresh-'));
    api = await openApiServer({ dataDir: join(root, 'api'), clock: systemClock, log: silentLogger, kinds: [] });
    await ensureDefaultNamespace(api.client);
  });
  after(async () => {
    await api.stop();
    rmSync(root, { recursive: true, force: true });
  });
  beforeEach(() => {
    refresher = new VolumeRefresher({ client: api.client, clock: systemClock, log: silentLogger, pauseMs });
    dir = join(root, `pod-${made++}`);
  });
  afterEach(async () => {
    for (const volumes of open.splice(0)) await volumes.close();
    await refresher.stop();
  });

  const pod = (volumes: Volume[], labels: Record<string, string> = {}): Pod => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default', uid: 'uid', labels },
    spec: { containers: [{ name: 'c', resources: { limits: { memory: '64Mi' } } }], volumes },
  });
  const make = async (volumes: Volume[]) => {
    const { client } = api;
    const mine = new PodVolumes({ uid: 'uid', dir, client, clock: systemClock, refresher });
    open.push(mine);
    await mine.make(pod(volumes), place, {});
    return mine;
  };
  const config = (name: string, data: Record<string, string>, more: object = {}) =>
    api.client.create(ConfigMapKind, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace: 'default' },
      data,
      ...more,
    });
  const change = async (name: string, data: Record<string, string>) => {
    const found = await api.client.get(ConfigMapKind, { namespace: 'default', name });
    assert.ok(found);
    await api.client.update(ConfigMapKind, { ...found, data });
  };
  const read = (path: string) => (existsSync(join(dir, path)) ? readFileSync(join(dir, path), 'utf8') : undefined);
  const until = async (path: string, text: string | undefined) => {
    for (let waitedMs = 0; read(path) !== text; waitedMs += 10) {
      assert.ok(waitedMs < 15_000, `${path} is ${read(path)}, not ${text}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };

  test('show what a ConfigMap says now: changed keys, new ones, and none that are gone', async () => {
    await config('a', { x: '1', y: '1' });
    await make([{ name: 'v', configMap: { name: 'a' } }]);
    assert.equal(read('v/x'), '1');
    await change('a', { x: '2', z: '1' });
    await until('v/x', '2');
    assert.deepEqual([read('v/y'), read('v/z')], [undefined, '1']);
  });

  test('show an optional Secret when it comes, and nothing when it goes', async () => {
    await make([{ name: 'v', secret: { secretName: 'late', optional: true } }]);
    assert.deepEqual(
      readdirSync(join(dir, 'v')).filter((name) => !name.startsWith('..')),
      [],
    );
    await api.client.create(SecretKind, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'late', namespace: 'default' },
      stringData: { key: 'value' },
    });
    await until('v/key', 'value');
    await api.client.delete(SecretKind, { namespace: 'default', name: 'late' });
    await until('v/key', undefined);
  });

  test('show the labels and annotations that the pod has now', async () => {
    const items = [
      { path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } },
      { path: 'limit', resourceFieldRef: { containerName: 'c', resource: 'limits.memory', divisor: '1Mi' } },
    ];
    const mine = await make([{ name: 'v', downwardAPI: { items } }]);
    assert.deepEqual([read('v/labels'), read('v/limit')], ['', '64']);
    mine.update(pod([{ name: 'v', downwardAPI: { items } }], { a: '1', b: 'x"y' }));
    await until('v/labels', 'a="1"\nb="x\\"y"');
  });

  test('show several sources in one folder, each as it is now', async () => {
    await config('one', { a: '1' });
    await config('two', { b: '1' });
    const sources = [
      { configMap: { name: 'one', items: [{ key: 'a', path: 'from/one', mode: 0o400 }] } },
      { configMap: { name: 'two' } },
      { downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
    ];
    await make([{ name: 'v', projected: { sources, defaultMode: 0o440 } }]);
    assert.deepEqual(['v/from/one', 'v/b', 'v/name'].map(read), ['1', '1', 'p']);
    assert.deepEqual(
      ['v/from/one', 'v/b'].map((path) => statSync(join(dir, path)).mode & 0o777),
      [0o400, 0o440],
    );
    await change('two', { b: '2' });
    await until('v/b', '2');
  });

  test('stay as they are when what they need is gone, and go on when it is back', async () => {
    await config('needed', { a: '1' });
    await make([{ name: 'v', configMap: { name: 'needed' } }]);
    await api.client.delete(ConfigMapKind, { namespace: 'default', name: 'needed' });
    await config('other', { a: '1' });
    await new Promise((resolve) => setTimeout(resolve, 2 * pauseMs));
    assert.equal(read('v/a'), '1');
    await config('needed', { a: '2' });
    await until('v/a', '2');
  });

  test('are written once a pause at the most, whatever storm there is', async () => {
    await config('storm', { n: '0' });
    const mine = await make([{ name: 'v', configMap: { name: 'storm' } }]);
    const seen = new Set<string | undefined>();
    const startedMs = performance.now();
    for (let n = 1; n <= 500; n++) {
      await change('storm', { n: `${n}` });
      seen.add(read('v/n'));
    }
    const tookMs = performance.now() - startedMs;
    await until('v/n', '500');
    assert.ok(seen.size <= tookMs / pauseMs + 2, `${seen.size} versions in ${tookMs} ms`);
    // Closed, they are left alone.
    await mine.close();
    await change('storm', { n: 'last' });
    await new Promise((resolve) => setTimeout(resolve, 2 * pauseMs));
    assert.equal(read('v/n'), '500');
  });

  test('are not followed when nothing of them can change', async () => {
    await config('fixed', { a: '1' }, { immutable: true });
    let follows = 0;
    const { client } = api;
    const counting = Object.assign(Object.create(refresher), { follow: () => follows++, forget() {} });
    const mine = new PodVolumes({ uid: 'uid', dir, client, clock: systemClock, refresher: counting });
    await mine.make(
      pod([
        { name: 'v', configMap: { name: 'fixed' } },
        { name: 'scratch', emptyDir: {} },
      ]),
      place,
      {},
    );
    assert.equal(read('v/a'), '1');
    assert.equal(follows, 0);
    await mine.close();
  });

  test('of a missing source say what is missing, in the words of Kubernetes', async () => {
    await config('some', { a: '1' });
    for (const [volume, message] of [
      [
        { name: 'v', configMap: { name: 'none' } },
        /^MountVolume.SetUp failed for volume "v" : configmap "none" not found$/,
      ],
      [
        { name: 'v', secret: { secretName: 'none' } },
        /^MountVolume.SetUp failed for volume "v" : secret "none" not found$/,
      ],
      [
        { name: 'v', configMap: { name: 'some', items: [{ key: 'b', path: 'b' }] } },
        /^MountVolume.SetUp failed for volume "v" : configmap references non-existent config key: b$/,
      ],
      [{ name: 'v', nfs: { server: 's', path: '/' } }, /nfs volumes are not supported on this node/],
    ] as const) {
      await assert.rejects(make([volume as Volume]), { message });
    }
    await make([{ name: 'v', configMap: { name: 'some', optional: true, items: [{ key: 'b', path: 'b' }] } }]);
  });
});
