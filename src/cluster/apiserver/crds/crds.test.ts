import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CustomResourceDefinitionKind } from '../../../api/apiextensions/custom-resource-definition.ts';
import { definitionOfKind } from '../../../api/apiextensions/definition-of-kind.ts';
import type { Kind } from '../../../api/kind.ts';
import { platformKinds } from '../../../api/platform.ts';
import { integer, object, type Schema, string } from '../../../api/schema.ts';
import { ApiError } from '../../../api/status.ts';
import { silentLogger } from '../../../observe/log.ts';
import { openApiServer } from '../index.ts';
import {
  definitionCondition as condition,
  gadgetDefinition as definition,
  type Gadget,
  GadgetKind,
  gadget,
  gadgetDefinitionKey as named,
  untilDefinition as until,
} from '../testing/gadgets.ts';
import { askingFor, openApi, WidgetKind } from '../testing/open-api.ts';

test('a definition is served before it says that it is established, and its objects follow its schema', async (t) => {
  const { api } = await openApi(t);
  const { client, pipeline } = api;
  await assert.rejects(client.create(GadgetKind, gadget('a')), (e: unknown) => e instanceof ApiError && e.code === 404);
  let wasServedBefore = false;
  pipeline.resources.onChange(() => {
    wasServedBefore = pipeline.resources.find('shop.example.dev', 'v1', 'gadgets') !== undefined;
  });
  await client.create(CustomResourceDefinitionKind, definition());
  const established = await until(client, (d) => condition(d, 'Established')?.status === 'True');
  assert.ok(wasServedBefore);
  assert.equal(condition(established, 'NamesAccepted')?.status, 'True');
  assert.deepEqual(established?.status?.storedVersions, ['v1']);
  assert.equal(established?.status?.acceptedNames?.listKind, 'GadgetList');
  assert.deepEqual((await client.create(GadgetKind, gadget('a'))).spec, { size: 3 });
});

test('a definition that is deleted takes its objects with it, and waits for their finalizers', async (t) => {
  const { client, pipeline } = (await openApi(t)).api;
  await client.create(CustomResourceDefinitionKind, definition());
  await until(client, (d) => condition(d, 'Established')?.status === 'True');
  await client.create(GadgetKind, gadget('a'));
  const held = gadget('b');
  held.metadata.finalizers = ['shop.example.dev/hold'];
  await client.create(GadgetKind, held);

  await client.delete(CustomResourceDefinitionKind as Kind, named);
  const left = async () => (await client.list(GadgetKind)).items.map((g) => g.metadata.name);
  while ((await left()).includes('a')) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(await left(), ['b']);
  assert.ok((await client.get(CustomResourceDefinitionKind, named))?.metadata.deletionTimestamp);
  await client.patch(
    GadgetKind,
    { namespace: 'default', name: 'b' },
    { type: 'merge', patch: { metadata: { finalizers: null } } },
  );
  await until(client, (d) => d === undefined);
  assert.equal(pipeline.resources.find('shop.example.dev', 'v1', 'gadgets'), undefined);
});

test('a definition whose names are taken is not established', async (t) => {
  const { client } = (await openApi(t)).api;
  const other = definitionOfKind({ ...(WidgetKind as unknown as Kind), plural: 'widgetoids', singular: 'widgetoid' });
  await client.create(CustomResourceDefinitionKind, other);
  const key = { name: 'widgetoids.test.kittiwake.dev' };
  let stored = await client.get(CustomResourceDefinitionKind, key);
  while (!stored?.status?.conditions) {
    await new Promise((resolve) => setImmediate(resolve));
    stored = await client.get(CustomResourceDefinitionKind, key);
  }
  assert.equal(condition(stored, 'NamesAccepted')?.status, 'False');
  assert.match(condition(stored, 'NamesAccepted')?.message ?? '', /is already in use/);
  assert.equal(condition(stored, 'Established')?.status, 'False');
});

test('two versions of a kind are one object; only the storage version is kept', async (t) => {
  const { api } = await openApi(t);
  const { client } = api;
  const both = definition();
  const [v1] = both.spec.versions;
  assert.ok(v1);
  both.spec.versions = [{ ...v1, name: 'v1beta1', storage: false, deprecated: true }, v1];
  await client.create(CustomResourceDefinitionKind, both);
  await until(client, (d) => condition(d, 'Established')?.status === 'True');
  const beta = { ...GadgetKind, version: 'v1beta1' };
  const made = await client.create(GadgetKind, gadget('a'));
  const seen = await client.get(beta, { namespace: 'default', name: 'a' });
  assert.deepEqual(seen, { ...made, apiVersion: 'shop.example.dev/v1beta1' });
  const patch = { type: 'merge' as const, patch: { spec: { size: 8 } } };
  const { warnings } = await api.pipeline.patch(askingFor(api, beta, 'patch', 'a'), patch, {});
  assert.deepEqual(warnings, ['shop.example.dev/v1beta1 Gadget is deprecated']);
  const stored = await client.get(GadgetKind, { namespace: 'default', name: 'a' });
  assert.equal(stored?.apiVersion, 'shop.example.dev/v1');
  assert.equal(stored?.spec?.size, 8);
  const betaMade = await client.create(beta, { ...gadget('b'), apiVersion: 'shop.example.dev/v1beta1' });
  assert.equal(betaMade.apiVersion, 'shop.example.dev/v1beta1');
  assert.equal((await client.get(GadgetKind, { namespace: 'default', name: 'b' }))?.apiVersion, 'shop.example.dev/v1');
});

test('definitions, and their objects, are served again after a restart', async (t) => {
  const { api, dataDir, clock } = await openApi(t);
  await api.client.create(CustomResourceDefinitionKind, definition());
  await until(api.client, (d) => condition(d, 'Established')?.status === 'True');
  await api.client.create(GadgetKind, gadget('a'));
  await api.stop();
  const again = await openApiServer({ dataDir, clock, log: silentLogger, kinds: [WidgetKind as unknown as Kind] });
  t.after(() => again.stop());
  assert.deepEqual((await again.client.list(GadgetKind)).items[0]?.spec, { size: 3 });
});

test('a start with a newer schema of a platform kind renews its definition', async (t) => {
  const { api, dataDir, clock } = await openApi(t);
  await api.stop();
  const schema = object({ spec: object({ added: string() }) });
  const kinds = [{ ...(WidgetKind as unknown as Kind), schema }];
  const again = await openApiServer({ dataDir, clock, log: silentLogger, kinds });
  t.after(() => again.stop());
  const renewed = again.pipeline.resources.find('test.kittiwake.dev', 'v1', 'widgets');
  assert.ok(renewed?.kind.schema.properties?.spec?.properties?.added);
});

test('a status can be written though the rest no longer keeps to the schema; the rest cannot', async (t) => {
  const { client, pipeline } = (await openApi(t)).api;
  await client.create(CustomResourceDefinitionKind, definition());
  await until(client, (d) => condition(d, 'Established')?.status === 'True');
  const made = await client.create(GadgetKind, gadget('a'));
  const next = definition();
  const [version] = next.spec.versions;
  assert.ok(version);
  version.schema = {
    openAPIV3Schema: object({ spec: object({ size: integer({ maximum: 2 }) }), status: object({ seen: integer() }) }),
  };
  const isServed = new Promise<void>((resolve) => pipeline.resources.onChange(resolve));
  await client.patch(CustomResourceDefinitionKind, named, { type: 'merge', patch: { spec: next.spec } });
  await isServed;
  const written = await client.update(GadgetKind, { ...made, status: { seen: 1 } } as Gadget, 'status');
  assert.deepEqual((written as { status?: unknown }).status, { seen: 1 });
  const isInvalid = (e: unknown) => e instanceof ApiError && e.code === 422;
  await assert.rejects(
    client.update(GadgetKind, { ...written, metadata: { ...written.metadata, labels: { a: 'b' } } }),
    isInvalid,
  );
  await assert.rejects(client.update(GadgetKind, { ...written, status: { seen: 'x' } } as Gadget, 'status'), isInvalid);
});

test('the definitions of all platform kinds hold only what CustomResourceDefinitions know', () => {
  const check = (schema: Schema, path: string) => {
    for (const [key, value] of Object.entries(schema)) assert.ok(value !== undefined, `${path}: ${key} is undefined`);
    const foreign = Object.keys(schema).filter((key) => key.startsWith('x-kubernetes-patch'));
    assert.deepEqual(foreign, [], path);
    for (const [name, child] of Object.entries(schema.properties ?? {})) check(child, `${path}.${name}`);
    if (schema.items) check(schema.items, `${path}[]`);
    if (typeof schema.additionalProperties === 'object') check(schema.additionalProperties, `${path}{}`);
  };
  for (const kind of platformKinds) {
    const { metadata, spec } = definitionOfKind(kind);
    assert.equal(metadata.name, `${kind.plural}.${kind.group}`);
    const schema = spec.versions[0]?.schema?.openAPIV3Schema;
    assert.ok(schema);
    check(schema, kind.kind);
  }
});
