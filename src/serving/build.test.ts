import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Build, BuildKind, type BuildSpec, type BuildStatus } from '../api/build/build.ts';
import { conditionOf, timestamp } from '../api/meta.ts';
import { inDefault, openServingWorld, type ServingWorld, stateOf } from './testing/serving-world.ts';

const build: BuildSpec = { source: { files: { 'index.js': '1' } } };
const image = (letter: string) => `registry.localhost/default/web@sha256:${letter.repeat(64)}`;

/** Plays the builder: the Build of this name ends so. */
async function finish(serving: ServingWorld, name: string, made: { image: string } | { error: string }): Promise<void> {
  const found = (await serving.world.until(BuildKind, inDefault(name), Boolean)) as Build;
  const lastTransitionTime = timestamp(Date.now());
  const status: BuildStatus =
    'image' in made
      ? {
          conditions: [{ type: 'Succeeded', status: 'True', lastTransitionTime }],
          output: { image: made.image, digest: made.image.slice(made.image.indexOf('@') + 1) },
        }
      : { conditions: [{ type: 'Succeeded', status: 'False', reason: 'X', message: made.error, lastTransitionTime }] };
  await serving.client.update(BuildKind, { ...found, status }, 'status');
}

test('a Service with a build waits for it, and its revision has the image that was made, by digest', async (t) => {
  const serving = await openServingWorld(t, {
    resolve: async (reference) => reference.slice(reference.indexOf('@') + 1),
  });
  await serving.createService('web', { build });
  const waiting = await serving.service('web', (s) => stateOf(s, 'ConfigurationsReady') === 'Unknown Building');
  assert.equal(waiting.status?.latestCreatedRevisionName, undefined);
  await finish(serving, 'web-00001', { image: image('a') });
  const revision = await serving.revision('web-00001', (r) => r.status?.containerStatuses !== undefined);
  assert.equal(revision.spec.containers[0]?.image, image('a'));
  assert.equal(revision.status?.containerStatuses?.[0]?.imageDigest, image('a'));
  await serving.bringUp('web-00001');
  await serving.readyService('web');
});

test('a build that fails says why on the Service, and the previous revision keeps serving', async (t) => {
  const serving = await openServingWorld(t, {
    resolve: async (reference) => reference.slice(reference.indexOf('@') + 1),
  });
  await serving.createService('web', { build });
  await finish(serving, 'web-00001', { image: image('a') });
  await serving.bringUp('web-00001');
  await serving.readyService('web');

  await serving.changeService('web', ({ spec }) => {
    spec.build = { source: { files: { 'index.js': 'oops(' } } };
  });
  await finish(serving, 'web-00002', { error: 'index.js:1: Unexpected end of input' });
  const failed = await serving.service('web', (s) => stateOf(s, 'Ready') === 'False BuildFailed');
  assert.equal(conditionOf(failed, 'Ready')?.message, 'Build "web-00002" failed: index.js:1: Unexpected end of input');
  assert.equal(stateOf(failed, 'RoutesReady'), 'True');
  assert.equal(failed.status?.latestReadyRevisionName, 'web-00001');
  assert.equal(failed.status?.traffic?.[0]?.revisionName, 'web-00001');

  await serving.changeService('web', ({ spec }) => {
    spec.build = { source: { files: { 'index.js': '2' } } };
  });
  await finish(serving, 'web-00003', { image: image('b') });
  await serving.bringUp('web-00003');
  const service = await serving.readyService('web');
  assert.equal(service.status?.traffic?.[0]?.revisionName, 'web-00003');
});

test('an image instead of the build ends the building', async (t) => {
  const serving = await openServingWorld(t);
  await serving.createService('web', { build });
  await serving.world.until(BuildKind, inDefault('web-00001'), Boolean);
  await serving.changeService('web', ({ spec }) => {
    spec.build = null;
    spec.template.spec.containers[0] = { name: 'user-container', image: 'web:2' };
  });
  await serving.bringUp('web-00002');
  const service = await serving.readyService('web');
  assert.equal(service.spec.build, undefined);
  assert.equal(await serving.client.get(BuildKind, inDefault('web-00002')), undefined);
});
