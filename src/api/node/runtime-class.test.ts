import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RuntimeClass, RuntimeClassKind } from './runtime-class.ts';

test('the handler of a RuntimeClass is a label, and stays', () => {
  const runtimeClass = (handler: string): RuntimeClass => ({
    apiVersion: 'node.k8s.io/v1',
    kind: 'RuntimeClass',
    metadata: { name: 'c' },
    handler,
  });
  const fieldsOf = (handler: string, old?: RuntimeClass) =>
    RuntimeClassKind.validate?.(runtimeClass(handler), { old, config: {} }).map(({ field }) => field);
  assert.deepEqual(fieldsOf('runc'), []);
  assert.deepEqual(fieldsOf('Run C'), ['handler']);
  assert.deepEqual(fieldsOf('runc', runtimeClass('runc')), []);
  assert.deepEqual(fieldsOf('runc', runtimeClass('youki')), ['handler']);
});
