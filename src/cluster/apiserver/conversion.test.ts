import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CustomResourceDefinitionKind } from '../../api/apiextensions/custom-resource-definition.ts';
import type { KubeObject } from '../../api/meta.ts';
import type { NamedRequest, Verb } from './request-info.ts';
import { definitionCondition, GadgetKind, gadget, gadgetDefinition, untilDefinition } from './testing/gadgets.ts';
import { askingFor, openApi } from './testing/open-api.ts';
import { renamedSize } from './testing/renamed-size.ts';

const BetaKind = { ...GadgetKind, version: 'v1beta1' };

/** Gadgets of two versions; requests ask for them as if their resource converted. */
async function openConverting(t: TestContext) {
  const { api } = await openApi(t);
  const definition = gadgetDefinition();
  const [v1] = definition.spec.versions;
  assert.ok(v1);
  const openAPIV3Schema = { type: 'object' as const, 'x-kubernetes-preserve-unknown-fields': true };
  const both = { ...v1, schema: { openAPIV3Schema } };
  definition.spec.versions = [both, { ...both, name: 'v1beta1', storage: false }];
  await api.client.create(CustomResourceDefinitionKind, definition);
  await untilDefinition(api.client, (d) => definitionCondition(d, 'Established')?.status === 'True');
  const asking = (kind: typeof GadgetKind, verb: Verb, convert = renamedSize()): NamedRequest => {
    const request = askingFor(api, kind, verb, 'a');
    return { ...request, resource: { ...request.resource, convert } };
  };
  const specOf = async (kind: typeof GadgetKind) =>
    ((await api.client.get(kind, { namespace: 'default', name: 'a' })) as { spec?: object } | undefined)?.spec;
  return { api, asking, specOf };
}

const beta = (text: string) =>
  ({ ...gadget('a'), apiVersion: 'shop.example.dev/v1beta1', spec: { text } }) as unknown as KubeObject;

test('what is written in one version is there at once in all of them, converted', async (t) => {
  const { api, asking, specOf } = await openConverting(t);
  const made = await api.pipeline.create(asking(BetaKind, 'create'), beta('size 3'), {});
  assert.deepEqual((made.stored.object as KubeObject & { spec: unknown }).spec, { text: 'size 3' });
  assert.equal(made.stored.object.metadata.name, 'a');
  assert.deepEqual(await specOf(GadgetKind), { size: 3 });
  assert.deepEqual(await specOf(BetaKind), { text: 'size 3' });
  const patch = { type: 'merge' as const, patch: { spec: { text: 'size 4' } } };
  await api.pipeline.patch(asking(BetaKind, 'patch'), patch, {});
  assert.deepEqual(await specOf(GadgetKind), { size: 4 });
  assert.deepEqual(await specOf(BetaKind), { text: 'size 4' });
});

test('a write that another one overtakes while it is converted is decided again', async (t) => {
  const { api, asking, specOf } = await openConverting(t);
  await api.pipeline.create(asking(GadgetKind, 'create'), gadget('a'), {});
  let isFirst = true;
  const overtaken = renamedSize(async () => {
    if (!isFirst) return;
    isFirst = false;
    const other = { type: 'merge' as const, patch: { metadata: { labels: { other: 'write' } } } };
    await api.pipeline.patch(asking(GadgetKind, 'patch'), other, {});
  });
  const patch = { type: 'merge' as const, patch: { spec: { size: 9 } } };
  const { stored } = await api.pipeline.patch(asking(GadgetKind, 'patch', overtaken), patch, {});
  assert.deepEqual(stored.object.metadata.labels, { other: 'write' });
  assert.deepEqual(await specOf(BetaKind), { text: 'size 9' });
});

test('a conversion that forgets the stored version is a failure of that write', async (t) => {
  const { api, asking } = await openConverting(t);
  const forgetting = async () => [];
  const create = api.pipeline.create(asking(GadgetKind, 'create', forgetting), gadget('a'), {});
  await assert.rejects(create, { code: 500, message: /gave no shop\.example\.dev\/v1, which is stored/ });
});
