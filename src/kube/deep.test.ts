import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openWorld } from '../../test/world.ts';
import { type ConfigMap, ConfigMapKind } from '../api/core/config-map.ts';
import type { KubeObject } from '../api/meta.ts';
import { sameJson } from '../lib/same-json.ts';
import { applyObject, threeWayMergePatch } from './apply.ts';
import { ensure } from './ensure.ts';
import type { Controller } from './reconciler.ts';

/** Deeper than any stack. */
function deep(): Record<string, unknown> {
  let value: Record<string, unknown> = {};
  for (let i = 0; i < 100_000; i++) value = { a: value };
  return value;
}

test('what compares, merges or copies an object too deep for the stack fails with a RangeError', () => {
  assert.throws(() => sameJson(deep(), deep()), RangeError);
  assert.throws(() => threeWayMergePatch(undefined, deep(), deep()), RangeError);
  assert.throws(() => structuredClone(deep()), RangeError);
});

test('a reconcile, or an apply, of an object too deep for the stack fails alone', async () => {
  const attempts: Record<string, number> = {};
  const nested = (name: string): ConfigMap & { extra: unknown } => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'default' },
    extra: deep(),
  });
  const controller: Controller<KubeObject> = {
    name: 'nesting',
    kind: ConfigMapKind,
    async reconcile({ metadata: { name } }, context) {
      attempts[name] = (attempts[name] ?? 0) + 1;
      if (name === 'deep') await ensure(context, ConfigMapKind, nested('deep'));
    },
  };
  const world = await openWorld({ kinds: [], controllers: [controller] });
  try {
    const create = (name: string) =>
      world.client.create(ConfigMapKind, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name, namespace: 'default' },
      });
    await create('deep');
    await create('flat');
    while ((attempts.deep ?? 0) < 3 || !attempts.flat) await new Promise((resolve) => setImmediate(resolve));
    await assert.rejects(applyObject(world.client, ConfigMapKind, nested('applied')), RangeError);
    assert.equal(attempts.flat, 1);
  } finally {
    await world.stop();
  }
});
