/** Whatever a schema allows is stored or refused with words: no default, rule or column of a kind throws over it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { builtinKinds } from '../../api/builtin.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { platformKinds } from '../../api/platform.ts';
import type { Schema } from '../../api/schema.ts';
import { ApiError } from '../../api/status.ts';
import { columnsOf } from './http/table/columns.ts';
import { renderRow } from './http/table/render.ts';
import type { Verb } from './request-info.ts';
import { asking, askingFor, openApi } from './testing/open-api.ts';

const texts = ['', 'a', 'A_b', '__proto__', 'constructor', '..', '/', '-1', '1e400', '\u0000', '€'.repeat(70), '8080'];
const text = fc.oneof(fc.constantFrom(...texts), fc.string({ maxLength: 4 }));
const number = fc.constantFrom(0, -0, 1, -1, 80, 65536, 2 ** 31 - 1, Number.MAX_SAFE_INTEGER, -(2 ** 31));
const anything: fc.Arbitrary<unknown> = fc.oneof(text, number, fc.constantFrom(null, true, [], {}, [null], { a: {} }));

/** Values that a schema allows, and now and then one that it does not. */
function valuesOf(schema: Schema, depth: number): fc.Arbitrary<unknown> {
  if (depth > 9) return fc.constant(undefined);
  if (schema.enum)
    return fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...schema.enum) }, { weight: 1, arbitrary: anything });
  if (schema['x-kubernetes-int-or-string']) return fc.oneof(text, number);
  if (schema.type === 'string') return text;
  if (schema.type === 'integer' || schema.type === 'number') return number;
  if (schema.type === 'boolean') return fc.boolean();
  if (schema.type === 'array') return fc.array(valuesOf(schema.items ?? {}, depth + 1), { maxLength: 2 });
  if (schema.properties) {
    const required = new Set(schema.required);
    const fields = Object.entries(schema.properties).map(([name, child]) => {
      const value = valuesOf(child, depth + 1);
      const isThere = required.has(name) || name === 'spec' || name === 'template';
      const weight = isThere ? 40 : 1;
      return [
        name,
        fc.oneof({ weight, arbitrary: value }, { weight: isThere ? 1 : 2, arbitrary: fc.constant(undefined) }),
      ];
    });
    return fc.record(Object.fromEntries(fields) as Record<string, fc.Arbitrary<unknown>>);
  }
  if (typeof schema.additionalProperties === 'object') {
    return fc.dictionary(text, valuesOf(schema.additionalProperties, depth + 1), { maxKeys: 2 });
  }
  return anything;
}

test('whatever the schema of a kind allows is stored or refused, and nothing throws over it', {
  timeout: 120_000,
}, async (t) => {
  const { api } = await openApi(t, { kinds: platformKinds });
  const failures = new Set<string>();
  let stored = 0;
  const attempt = async (kind: Kind, what: string, work: () => Promise<unknown>) => {
    try {
      await work();
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.code < 500) return false;
      const at = error instanceof Error ? error.stack?.split('\n').slice(0, 3).join(' ') : error;
      failures.add(`${kind.kind} ${what}: ${at}`);
      return false;
    }
  };
  for (const kind of [...builtinKinds, ...platformKinds]) {
    const { resource } = asking(api, kind, 'create');
    const values = fc.sample(valuesOf(resource.kind.schema, 0), { numRuns: 60, seed: 20261126 });
    for (const [i, value] of values.entries()) {
      const name = `fuzz-${i}`;
      const object = { ...(value as object), metadata: { name } };
      const isStored = await attempt(kind, 'create', () =>
        api.pipeline.create(asking(api, kind, 'create'), structuredClone(object), {}),
      );
      if (!isStored) continue;
      stored++;
      const named = (verb: Verb) => askingFor(api, kind, verb, name);
      const made = (await api.pipeline.get(named('get'))).object as KubeObject;
      renderRow(made, {
        columns: columnsOf(resource.strategy),
        version: 'v1',
        includeObject: 'None',
        nowMs: 0,
        onFailure: (error, column) => failures.add(`${kind.kind} column ${column}: ${error}`),
      });
      const other = { ...(values[(i * 7 + 3) % values.length] as object), metadata: made.metadata };
      await attempt(kind, 'update', () => api.pipeline.update(named('update'), structuredClone(other), {}));
      if (resource.kind.hasStatus) {
        const status = { ...named('update'), subresource: 'status' };
        await attempt(kind, 'status', () =>
          api.pipeline.update(status, structuredClone({ ...other, metadata: { name, resourceVersion: '' } }), {}),
        );
      }
      await attempt(kind, 'delete', () => api.pipeline.delete(named('delete'), {}));
    }
  }
  assert.deepEqual([...failures], []);
  assert.ok(stored > 100, `only ${stored} objects were stored`);
});
