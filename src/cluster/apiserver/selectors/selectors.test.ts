import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ReplicaSetKind } from '../../../api/apps/replica-set.ts';
import { NodeKind } from '../../../api/core/node.ts';
import { PodKind } from '../../../api/core/pod.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject, LabelSelector } from '../../../api/meta.ts';
import { selectorText, selects } from '../../../api/selector.ts';
import { ApiError } from '../../../api/status.ts';
import { systemClock } from '../../../lib/clock.ts';
import { ResourceRegistry } from '../resource-registry.ts';
import { builtinStrategies } from '../strategies/builtin.ts';
import { compileFieldSelector, nameSelected } from './field-selector.ts';
import { compileLabelSelector } from './label-selector.ts';

const isBadRequest = (error: unknown) => error instanceof ApiError && error.code === 400;

const labelCases: [query: string, labels: Record<string, string>, isSelected: boolean][] = [
  ['', {}, true],
  ['a=b', { a: 'b' }, true],
  ['a==b', { a: 'c' }, false],
  ['a=', { a: '' }, true],
  ['a=', {}, false],
  ['a!=b', {}, true],
  ['a!=b', { a: 'b' }, false],
  ['a in (b, c)', { a: 'c' }, true],
  ['a in (b,c)', {}, false],
  ['a notin (b,c)', {}, true],
  ['a notin (b,c)', { a: 'b' }, false],
  ['x.dev/a', { 'x.dev/a': '' }, true],
  ['!a', { a: '' }, false],
  ['! a', {}, true],
  ['a=b,c in (d,e),!f', { a: 'b', c: 'e' }, true],
  ['a>5', { a: '6' }, true],
  ['a<5', { a: 'x' }, false],
  ['constructor', {}, false],
];

for (const [query, labels, isSelected] of labelCases) {
  test(`"${query}" ${isSelected ? 'selects' : 'does not select'} ${JSON.stringify(labels)}`, () => {
    assert.equal(compileLabelSelector(query)?.(labels) ?? true, isSelected);
  });
}

for (const query of ['a in b', 'a in (b', '=b', 'a=b c', 'a=b,,c', 'a>x', 'a=ü']) {
  test(`the label selector "${query}" is refused`, () =>
    assert.throws(() => compileLabelSelector(query), isBadRequest));
}

test('a selector written as a query selects what it selects as an object', () => {
  const word = fc.constantFrom('a', 'b', 'c');
  const expression = fc.record({
    key: word,
    operator: fc.constantFrom('In' as const, 'NotIn' as const, 'Exists' as const, 'DoesNotExist' as const),
    values: fc.array(word, { minLength: 1, maxLength: 2 }),
  });
  const selector: fc.Arbitrary<LabelSelector> = fc.record({
    matchLabels: fc.dictionary(word, word, { maxKeys: 2 }),
    matchExpressions: fc.array(expression, { maxLength: 3 }),
  });
  fc.assert(
    fc.property(selector, fc.dictionary(word, word), (chosen, labels) => {
      const compiled = compileLabelSelector(selectorText(chosen));
      assert.equal(compiled?.(labels) ?? true, selects(chosen, labels));
    }),
  );
});

const resources = new ResourceRegistry(builtinStrategies({ kinds: [], clock: systemClock })).all();
function resourceOf<T extends KubeObject>({ kind, group }: Kind<T>) {
  const resource = resources.find((r) => r.kind.kind === kind && r.kind.group === group);
  assert.ok(resource);
  return resource;
}

const pods = resourceOf(PodKind);
const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'n' },
  spec: { nodeName: 'local' },
} as unknown as KubeObject;

const fieldCases: [query: string, isSelected: boolean][] = [
  ['', true],
  ['metadata.name=p', true],
  ['metadata.name!=p', false],
  ['metadata.namespace==n,spec.nodeName=local', true],
  ['status.phase=', true],
  ['status.phase!=Running', true],
  ['status.phase=Running', false],
  ['spec.hostNetwork=false', true],
  ['spec.hostNetwork!=false', false],
  ['spec.hostNetwork=', false],
];

for (const [query, isSelected] of fieldCases) {
  test(`the field selector "${query}" ${isSelected ? 'selects' : 'does not select'} the pod`, () => {
    assert.equal(compileFieldSelector(query, pods).matches?.(pod) ?? true, isSelected);
  });
}

test('a node that says nothing of it is schedulable, and a set that has counted nothing has no replicas', () => {
  const object = (more: object) => ({ apiVersion: 'v1', kind: 'x', metadata: { name: 'a' }, ...more }) as KubeObject;
  const selects = (query: string, kind: Kind, more: object) =>
    compileFieldSelector(query, resourceOf(kind)).matches?.(object(more));
  assert.equal(selects('spec.unschedulable=false', NodeKind, {}), true);
  assert.equal(selects('spec.unschedulable=false', NodeKind, { spec: { unschedulable: false } }), true);
  assert.equal(selects('spec.unschedulable=false', NodeKind, { spec: { unschedulable: true } }), false);
  assert.equal(selects('spec.unschedulable=true', NodeKind, { spec: {} }), false);
  assert.equal(selects('status.replicas=0', ReplicaSetKind, {}), true);
});

for (const query of ['spec.containers=x', 'metadata.labels=x', 'metadata.name', '=x']) {
  test(`the field selector "${query}" is refused`, () => {
    assert.throws(() => compileFieldSelector(query, pods), isBadRequest);
  });
}

test('the name that a selector lets through is the one that is asked for, whatever hides in its values', () => {
  const table: [string, string | undefined][] = [
    ['', undefined],
    ['metadata.name=a', 'a'],
    ['status.phase!=x,metadata.name==a', 'a'],
    ['metadata.name!=a', undefined],
    [String.raw`spec.nodeName!=x\,metadata.name=a`, undefined],
    [String.raw`metadata.name=a\,b`, 'a,b'],
    ['metadata.names=a', undefined],
    ['=', undefined],
  ];
  for (const [query, name] of table) {
    assert.equal(nameSelected(query), name, query);
    if (name !== undefined) {
      const { matches } = compileFieldSelector(query, pods);
      assert.equal(matches?.({ ...pod, metadata: { ...pod.metadata, name: `${name}x` } }), false, query);
    }
  }
});
