import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  type CustomResourceDefinition,
  CustomResourceDefinitionKind,
} from '../../api/apiextensions/custom-resource-definition.ts';
import type { Client } from '../../kube/client.ts';
import { silentLogger } from '../../observe/log.ts';
import type { Convert } from './conversion.ts';
import type { ConversionOf } from './crds/custom-resources.ts';
import { openApiServer } from './index.ts';
import {
  definitionCondition,
  type Gadget,
  GadgetKind,
  gadget,
  gadgetDefinition,
  gadgetDefinitionKey,
  untilDefinition,
} from './testing/gadgets.ts';
import { openApi } from './testing/open-api.ts';
import { renamedSize } from './testing/renamed-size.ts';

const BetaKind = { ...GadgetKind, version: 'v1beta1' };

/** What the tests' conversion waits for, at each object. */
type Wait = () => Promise<void>;

const isGadgets = ({ metadata }: CustomResourceDefinition) => metadata.name === gadgetDefinitionKey.name;

/** Gadgets of two versions whose fields differ. */
function definitionOfBoth(storage = 'v1'): CustomResourceDefinition {
  const definition = gadgetDefinition();
  const [v1] = definition.spec.versions;
  assert.ok(v1);
  const schema = { openAPIV3Schema: { type: 'object' as const, 'x-kubernetes-preserve-unknown-fields': true } };
  definition.spec.versions = ['v1', 'v1beta1'].map((name) => ({ ...v1, schema, name, storage: name === storage }));
  return definition;
}

async function openConverting(t: TestContext, wait?: Wait, convert: Convert = renamedSize(wait)) {
  const conversionOf: ConversionOf = (definition) => (isGadgets(definition) ? convert : undefined);
  const { api, ...opened } = await openApi(t, { conversionOf });
  await api.client.create(CustomResourceDefinitionKind, definitionOfBoth());
  await untilDefinition(api.client, (d) => definitionCondition(d, 'Established')?.status === 'True');
  return { ...opened, api, specOf: (kind: typeof GadgetKind) => specIn(api.client, kind) };
}

async function specIn(client: Client, kind: typeof GadgetKind): Promise<unknown> {
  const found: { spec?: unknown } | undefined = await client.get(kind, { namespace: 'default', name: 'a' });
  return found?.spec;
}

const beta = (text: string) =>
  ({ ...gadget('a'), apiVersion: 'shop.example.dev/v1beta1', spec: { text } }) as unknown as Gadget;
const key = { namespace: 'default', name: 'a' };

test('what is written in one version is there at once in all of them, converted', async (t) => {
  const { api, specOf } = await openConverting(t);
  const made = await api.client.create(BetaKind, beta('size 3'));
  assert.deepEqual(made.spec, { text: 'size 3' });
  assert.equal(made.metadata.name, 'a');
  assert.deepEqual(await specOf(GadgetKind), { size: 3 });
  assert.deepEqual(await specOf(BetaKind), { text: 'size 3' });
  await api.client.patch(BetaKind, key, { type: 'merge', patch: { spec: { text: 'size 4' } } });
  assert.deepEqual(await specOf(GadgetKind), { size: 4 });
  assert.deepEqual(await specOf(BetaKind), { text: 'size 4' });
});

test('a write that another one overtakes while it is converted is decided again', async (t) => {
  let overtake: Wait | undefined;
  const { api, specOf } = await openConverting(t, async () => {
    const first = overtake;
    overtake = undefined;
    await first?.();
  });
  await api.client.create(GadgetKind, gadget('a'));
  overtake = async () => {
    await api.client.patch(GadgetKind, key, { type: 'merge', patch: { metadata: { labels: { other: 'write' } } } });
  };
  const made = await api.client.patch(GadgetKind, key, { type: 'merge', patch: { spec: { size: 9 } } });
  assert.deepEqual(made.metadata.labels, { other: 'write' });
  assert.deepEqual(await specOf(BetaKind), { text: 'size 9' });
});

test('a conversion that forgets the stored version is a failure of that write', async (t) => {
  const { api } = await openConverting(t, undefined, async () => []);
  const create = api.client.create(GadgetKind, gadget('a'));
  await assert.rejects(create, { code: 500, message: /gave no shop\.example\.dev\/v1, which is stored/ });
});

test('what an earlier start has stored is there in all versions before the first request, converted', async (t) => {
  const { api, clock, dataDir } = await openConverting(t);
  await api.client.create(BetaKind, beta('size 3'));
  await api.stop();
  const conversionOf: ConversionOf = (definition) => (isGadgets(definition) ? renamedSize() : undefined);
  const again = await openApiServer({ dataDir, clock, log: silentLogger, kinds: [], conversionOf });
  t.after(() => again.stop());
  assert.deepEqual(await specIn(again.client, BetaKind), { text: 'size 3' });
  assert.deepEqual(await specIn(again.client, GadgetKind), { size: 3 });

  // The stored version changes: what is there is stored as the old one, and is read as either.
  const stored = await again.client.get(CustomResourceDefinitionKind, gadgetDefinitionKey);
  assert.ok(stored);
  await again.client.update(CustomResourceDefinitionKind, { ...stored, spec: definitionOfBoth('v1beta1').spec });
  await untilDefinition(again.client, (d) => d?.status?.storedVersions?.length === 2);
  assert.deepEqual(await specIn(again.client, GadgetKind), { size: 3 });
  await again.client.patch(GadgetKind, key, { type: 'merge', patch: { spec: { size: 5 } } });
  assert.deepEqual(await specIn(again.client, BetaKind), { text: 'size 5' });
});

test('objects whose conversion fails at a start are not served wrongly, but as soon as it succeeds', async (t) => {
  const { api, clock, dataDir } = await openConverting(t);
  await api.client.create(BetaKind, beta('size 3'));
  await api.stop();
  let isAway = true;
  const convert = renamedSize(async () => {
    if (isAway) throw new Error('the webhook is away');
  });
  const conversionOf: ConversionOf = (definition) => (isGadgets(definition) ? convert : undefined);
  const again = await openApiServer({ dataDir, clock, log: silentLogger, kinds: [], conversionOf });
  t.after(() => again.stop());
  await assert.rejects(specIn(again.client, GadgetKind), {
    code: 404,
    message: /could not find the requested resource/,
  });
  isAway = false;
  const served = Promise.withResolvers<void>();
  t.after(again.pipeline.resources.onChange(served.resolve));
  await clock.advance(60_000);
  await served.promise;
  assert.deepEqual(await specIn(again.client, GadgetKind), { size: 3 });
});

test('versions that differ in nothing but their name need no conversion, whichever was stored', async (t) => {
  const { api, clock, dataDir } = await openApi(t);
  await api.client.create(CustomResourceDefinitionKind, definitionOfBoth('v1beta1'));
  await untilDefinition(api.client, (d) => definitionCondition(d, 'Established')?.status === 'True');
  await api.client.create(BetaKind, beta('size 3'));
  const stored = await api.client.get(CustomResourceDefinitionKind, gadgetDefinitionKey);
  assert.ok(stored);
  await api.client.update(CustomResourceDefinitionKind, { ...stored, spec: definitionOfBoth().spec });
  await untilDefinition(api.client, (d) => d?.status?.storedVersions?.length === 2);
  await api.stop();
  const again = await openApiServer({ dataDir, clock, log: silentLogger, kinds: [] });
  t.after(() => again.stop());
  const { items } = await again.client.list(GadgetKind);
  assert.deepEqual(
    items.map(({ apiVersion, spec }) => ({ apiVersion, spec })),
    [{ apiVersion: 'shop.example.dev/v1', spec: { text: 'size 3' } }],
  );
});
