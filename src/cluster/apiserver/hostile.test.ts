/** Well-formed objects that are meant to harm: refused with words, or stored and harmless wherever they are used. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CustomResourceDefinitionKind } from '../../api/apiextensions/custom-resource-definition.ts';
import { ConfigMapKind } from '../../api/core/config-map.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { ApiError } from '../../api/status.ts';
import {
  defineGadgets,
  definitionCondition,
  GadgetKind,
  gadget,
  gadgetDefinition,
  untilDefinition,
} from './testing/gadgets.ts';
import { asking, askingFor, openApi, WidgetKind, widget } from './testing/open-api.ts';

/** `depth` objects in one another. */
function nested(depth: number): object {
  let value: object = {};
  for (let i = 1; i < depth; i++) value = { in: value };
  return value;
}

const isRefused = (code: number, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ApiError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, words);
  return true;
};

describe('hostile objects', () => {
  test('what is nested too deep is refused by all who write, and what is not is used everywhere', async (t) => {
    const { client } = (await openApi(t)).api;
    const deep = (depth: number) => widget('deep', { free: nested(depth) as Record<string, unknown> });
    const words = /nested deeper than 500/;
    await assert.rejects(client.create(WidgetKind, deep(100_000)), isRefused(400, words));
    await client.create(WidgetKind, deep(400));
    await assert.rejects(client.update(WidgetKind, deep(600)), isRefused(400, words));
    const key = { namespace: 'default', name: 'deep' };
    const patch = (depth: number) => ({ type: 'merge' as const, patch: { spec: { free: { more: nested(depth) } } } });
    await assert.rejects(client.patch(WidgetKind, key, patch(3000)), isRefused(400, words));
    await client.patch(WidgetKind, key, patch(450));
    await client.patch(WidgetKind, key, { type: 'merge', patch: { spec: { note: 'x' } } });
    assert.equal((await client.list(WidgetKind)).items.length, 1);
    await client.delete(WidgetKind as unknown as Kind, key);
  });

  test('an object that many patches make large is refused when it is too large', async (t) => {
    const { client } = (await openApi(t)).api;
    const key = { namespace: 'default', name: 'grows' };
    await client.create(WidgetKind, widget('grows'));
    const grow = (i: number) =>
      client.patch(WidgetKind, key, {
        type: 'merge',
        patch: { spec: { free: { [`part${i}`]: 'x'.repeat(1024 * 1024) } } },
      });
    for (let i = 0; i < 3; i++) await grow(i);
    await assert.rejects(grow(3), isRefused(413, /would take \d+ bytes, its limit is 4194304/));
    await client.patch(WidgetKind, key, { type: 'merge', patch: { spec: { free: null } } });
  });

  test('names that every object inherits are fields like others', async (t) => {
    const { client } = (await openApi(t)).api;
    const key = { namespace: 'default', name: 'named' };
    const free = JSON.parse('{"__proto__": {"polluted": 1}, "constructor": {"prototype": 1}, "toString": null}');
    const made = await client.create(WidgetKind, widget('named', { free }));
    assert.equal(JSON.stringify(made.spec.free), JSON.stringify(free));
    assert.equal(({} as { polluted?: number }).polluted, undefined);
    const patched = await client.patch(WidgetKind, key, {
      type: 'merge',
      patch: JSON.parse('{"metadata": {"labels": {"constructor": "a"}}, "spec": {"free": {"hasOwnProperty": 1}}}'),
    });
    assert.equal(patched.metadata.labels?.constructor, 'a');
    assert.equal(patched.spec.free?.hasOwnProperty, 1);
    const byLabel = async (labelSelector: string) => (await client.list(WidgetKind, { labelSelector })).items.length;
    assert.equal(await byLabel('constructor=a'), 1);
    assert.equal(await byLabel('toString'), 0);
    assert.equal(await byLabel('!valueOf'), 1);
  });

  test('a path of the scale subresource cannot lead into what all objects share', async (t) => {
    const { api } = await openApi(t);
    const { client } = api;
    const definition = gadgetDefinition();
    const [version] = definition.spec.versions;
    assert.ok(version);
    version.schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
    const scale = { specReplicasPath: '.spec.__proto__.polluted', statusReplicasPath: '.status.constructor' };
    version.subresources = { status: {}, scale: { ...scale, labelSelectorPath: '.spec.selector' } };
    await client.create(CustomResourceDefinitionKind, definition);
    await untilDefinition(client, (d) => definitionCondition(d, 'Established')?.status === 'True');
    const spec = { selector: { matchExpressions: 5, matchLabels: null } };
    await client.create(GadgetKind as unknown as Kind, { ...gadget('a'), spec } as unknown as KubeObject);
    await client.scale(GadgetKind as unknown as Kind, { namespace: 'default', name: 'a' }, 7);
    assert.equal(({} as { polluted?: number }).polluted, undefined);
    const { object } = await api.pipeline.get({ ...askingFor(api, GadgetKind, 'get', 'a'), subresource: 'scale' });
    assert.deepEqual((object as unknown as { status: object }).status, { replicas: 0 });
    assert.deepEqual((object as unknown as { spec: object }).spec, { replicas: 7 });
  });

  test('thousands of unknown fields with long names get an answer of bounded size', async (t) => {
    const { api } = await openApi(t);
    const unknown = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`${i}`.padEnd(2000, 'k'), 1]));
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, ...unknown };
    const { warnings } = await api.pipeline.create(asking(api, ConfigMapKind, 'create'), body, {});
    assert.ok(warnings.join().length < 20_000);
  });

  test('a write of what has no JSON is a failure of that write', async (t) => {
    const { client } = (await openApi(t)).api;
    const bad = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'default', name: 'a' }, data: { a: 1n } };
    await assert.rejects(client.create(ConfigMapKind, bad as never));
    await defineGadgets(client);
    await client.create(GadgetKind, gadget('a'));
  });
});
