import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openWorld } from '../../../test/world.ts';
import { type Build, BuildKind } from '../../api/build/build.ts';
import { type CoreEvent, EventKind } from '../../api/core/event.ts';
import { controllerReference, type KubeObject } from '../../api/meta.ts';
import { type Configuration, ConfigurationKind } from '../../api/serving/configuration.ts';
import { type Revision, RevisionKind } from '../../api/serving/revision.ts';
import { digestsInUse } from '../../server/digests-in-use.ts';
import { buildRetentionController, staleBuilds } from './controller.ts';

const imageOf = (generation: number) => `registry.localhost/default/web@sha256:${String(generation).padStart(64, '0')}`;
const owned = (generation: number, owner?: KubeObject) => ({
  name: `web-${String(generation).padStart(5, '0')}`,
  namespace: 'default',
  labels: {
    'serving.knative.dev/configurationGeneration': String(generation),
    ...(owner ? { 'serving.knative.dev/configuration': owner.metadata.name } : {}),
  },
  ...(owner ? { ownerReferences: [controllerReference(owner)] } : {}),
});

const build = (generation: number, status: 'True' | 'False' | 'Unknown' = 'True', owner?: KubeObject): Build => ({
  apiVersion: 'build.knative.dev/v1alpha1',
  kind: 'Build',
  metadata: owned(generation, owner),
  spec: { source: { files: { 'index.js': '1' } } },
  status: {
    conditions: [{ type: 'Succeeded', status }],
    ...(status === 'True' ? { output: { image: imageOf(generation), digest: imageOf(generation).slice(-71) } } : {}),
  },
});

const revision = (generation: number, owner?: KubeObject): Revision => ({
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Revision',
  metadata: owned(generation, owner),
  spec: { containers: [{ name: 'user-container', image: imageOf(generation) }] },
});

const generations = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);
const named = (builds: Build[]) =>
  builds
    .map(({ metadata }) => Number(metadata.labels?.['serving.knative.dev/configurationGeneration']))
    .sort((a, b) => a - b);

test('the ten newest finished builds stay, and every one whose image a revision has', () => {
  const all = (count: number) => generations(1, count).map((generation) => build(generation));
  const table: [Build[], Revision[], number[]][] = [
    [all(10), [], []],
    [all(13), [], [1, 2, 3]],
    [all(13).reverse(), [revision(2), revision(13)], [1, 3]],
    [[...all(10), build(11, 'Unknown')], [], []],
    [[build(1), ...generations(2, 12).map((g) => build(g, 'False'))], [revision(1)], [2]],
    [[build(1, 'Unknown'), ...generations(2, 12).map((g) => build(g))], [], [2]],
  ];
  for (const [builds, revisions, stale] of table) assert.deepEqual(named(staleBuilds(builds, revisions)), stale);
});

test('old builds of a configuration are deleted, and those of a revision only once it is gone', async () => {
  const world = await openWorld({ controllers: [buildRetentionController()] as never });
  try {
    const configuration: Configuration = {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Configuration',
      metadata: { name: 'web', namespace: 'default' },
      spec: { template: { spec: { containers: [{ name: 'user-container', image: 'web:1' }] } } },
    };
    const owner = await world.client.create(ConfigurationKind, configuration);
    await world.client.create(RevisionKind, revision(1, owner));
    for (const generation of generations(1, 12)) {
      const desired = build(generation, 'True', owner);
      const { metadata, spec, apiVersion, kind } = await world.client.create(BuildKind, desired);
      const { status } = desired;
      await world.client.update(
        BuildKind,
        { apiVersion, kind, metadata, spec, ...(status ? { status } : {}) },
        'status',
      );
    }
    const left = await world.untilAll(BuildKind, 'default', (builds) => builds.length === 11);
    assert.deepEqual(named(left), [1, ...generations(3, 12)]);
    assert.ok((await digestsInUse(world.client)).has(imageOf(1).slice(-71)));
    await world.client.create(EventKind, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'pulled', namespace: 'default' },
      involvedObject: { kind: 'Pod', namespace: 'default', name: 'web' },
      reason: 'Pulled',
      message: `Successfully pulled image "${imageOf(1)}"`,
      type: 'Normal',
    } as CoreEvent);

    await world.client.delete(RevisionKind, { namespace: 'default', name: 'web-00001' });
    assert.deepEqual(named(await world.untilAll(BuildKind, 'default', (b) => b.length === 10)), generations(3, 12));
    assert.equal((await digestsInUse(world.client)).has(imageOf(1).slice(-71)), false);
    assert.ok((await digestsInUse(world.client)).has(imageOf(3).slice(-71)));
  } finally {
    await world.stop();
  }
});
