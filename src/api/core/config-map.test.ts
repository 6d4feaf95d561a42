import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noConfiguration } from '../kind.ts';
import { type ConfigMap, ConfigMapKind } from './config-map.ts';

const faultsOf = (data: Record<string, string>, binaryData: Record<string, string>): string[] => {
  const configMap: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data, binaryData };
  return (ConfigMapKind.validate?.(configMap, { config: noConfiguration }) ?? []).map(({ field }) => field);
};

test('a key stands in data or in binaryData, not in both', () => {
  assert.deepEqual(faultsOf({ a: 'x' }, { b: 'eA==' }), []);
  assert.deepEqual(faultsOf({ a: 'x' }, { a: 'eA==' }), ['binaryData[a]']);
});

test('a key of binaryData may have a name that every object of JavaScript inherits', () => {
  assert.deepEqual(faultsOf({ a: 'x' }, { constructor: 'eA==', toString: 'eA==' }), []);
});
