import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DeploymentKind } from '../api/apps/deployment.ts';
import { type Build, BuildKind } from '../api/build/build.ts';
import { CoreServiceKind } from '../api/core/service.ts';
import type { Kind } from '../api/kind.ts';
import { apiVersionOf } from '../api/kind.ts';
import { type KubeObject, keyOf, timestamp } from '../api/meta.ts';
import { IngressKind } from '../api/networking/ingress.ts';
import { ConfigurationKind } from '../api/serving/configuration.ts';
import { PodAutoscalerKind } from '../api/serving/pod-autoscaler.ts';
import { RevisionKind } from '../api/serving/revision.ts';
import { RouteKind } from '../api/serving/route.ts';
import { openServingWorld, type ServingWorld } from './testing/serving-world.ts';

const podSpec = { containers: [{ name: 'c', image: 'strange' }] };
const template = { metadata: { labels: { app: 'strange' } }, spec: podSpec };
const core = { spec: { selector: { app: 'strange' }, ports: [{ port: 80 }] } };

/** What somebody else may have in the place of what a Service "web" makes, and the word that tells of it. */
const strangers: [kind: Kind, name: string, fields: object, word: RegExp][] = [
  [ConfigurationKind, 'web', { spec: { template: { spec: podSpec } } }, /Configuration "web" that we do not own/],
  [RouteKind, 'web', { spec: { traffic: [{ revisionName: 'x', percent: 100 }] } }, /Route "web" that we do not own/],
  [RevisionKind, 'web-00001', { spec: podSpec }, /"web-00001" already exists/],
  [
    DeploymentKind,
    'web-00001-deployment',
    { spec: { selector: { matchLabels: { app: 'strange' } }, template } },
    /Deployment "web-00001-deployment" that we do not own/,
  ],
  [CoreServiceKind, 'web-00001', core, /Service "web-00001" that we do not own/],
  [
    PodAutoscalerKind,
    'web-00001',
    { spec: { scaleTargetRef: { name: 'x' }, protocolType: 'http1' } },
    /PodAutoscaler "web-00001" that we do not own/,
  ],
  [CoreServiceKind, 'web', core, /placeholder Service "web" that we do not own/],
  [IngressKind, 'web', { spec: {} }, /Ingress "web" that we do not own/],
];

const childKinds: Kind[] = [
  RevisionKind,
  DeploymentKind,
  PodAutoscalerKind,
  CoreServiceKind,
  IngressKind,
  ConfigurationKind,
];

/** Deletes the object, and as the garbage collector does, what it owns. */
async function deleteAll(serving: ServingWorld, kind: Kind, object: KubeObject): Promise<void> {
  await serving.client.delete(kind, keyOf(object));
  for (const childKind of childKinds) {
    for (const child of (await serving.client.list(childKind, { namespace: 'default' })).items) {
      const isOwned = child.metadata.ownerReferences?.some((r) => r.uid === object.metadata.uid);
      if (isOwned) await deleteAll(serving, childKind, child);
    }
  }
}

const make = (serving: ServingWorld, kind: Kind, name: string, fields: object) =>
  serving.client.create(kind, {
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    metadata: { name, namespace: 'default' },
    ...fields,
  });

const says = (word: RegExp) => (service: { status?: { conditions?: { message?: string }[] } }) =>
  service.status?.conditions?.some(({ message = '' }) => word.test(message));

describe('a Service that finds something of somebody else in its place', () => {
  for (const [kind, name, fields, word] of strangers) {
    test(`is ready without further ado once ${kind.kind} ${name} is gone`, async (t) => {
      const serving = await openServingWorld(t);
      const stranger = await make(serving, kind, name, fields);
      // What a stranger has made last must be there to be deleted with it.
      if (kind === ConfigurationKind || kind === RevisionKind) {
        await serving.world.until(PodAutoscalerKind, { namespace: 'default', name: 'web-00001' }, Boolean);
      }
      await serving.createService('web');
      const told = serving.service('web', says(word));
      // What comes after a revision is only made once there is one.
      if (kind === CoreServiceKind || kind === IngressKind) await serving.bringUp('web-00001');
      await told;
      await deleteAll(serving, kind, stranger);
      await serving.bringUp('web-00001');
      await serving.readyService('web');
    });
  }

  test('builds once a Build of the name is gone', async (t) => {
    const serving = await openServingWorld(t, {
      resolve: async (reference) => reference.slice(reference.indexOf('@') + 1),
    });
    const stranger = await make(serving, BuildKind, 'web-00001', { spec: { source: { files: { a: '1' } } } });
    await serving.createService('web', { build: { source: { files: { 'index.js': '1' } } } });
    await serving.service('web', says(/Build "web-00001" that we do not own/));
    await serving.client.delete(BuildKind, keyOf(stranger));
    const ours = (await serving.world.until(BuildKind, keyOf(stranger), Boolean)) as Build;
    assert.notEqual(ours.metadata.uid, stranger.metadata.uid);
    const digest = `sha256:${'a'.repeat(64)}`;
    const succeeded = { type: 'Succeeded', status: 'True', lastTransitionTime: timestamp(Date.now()) } as const;
    const output = { image: `registry.localhost/default/web@${digest}`, digest };
    await serving.client.update(BuildKind, { ...ours, status: { conditions: [succeeded], output } }, 'status');
    await serving.bringUp('web-00001');
    await serving.readyService('web');
  });
});
