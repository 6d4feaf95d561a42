import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Filter } from '../../api/eventing/filter.ts';
import type { TriggerSpec } from '../../api/eventing/trigger.ts';
import { compileFilter } from './filter.ts';

const event = { attributes: { specversion: '1.0', id: '1', source: '/orders', type: 'order.placed', count: 3 } };

function passes(spec: Pick<TriggerSpec, 'filter' | 'filters'>): boolean {
  const compiled = compileFilter(spec);
  assert.ok('matches' in compiled);
  return compiled.matches(event);
}

test('which filters let an event through', () => {
  const table: [filters: Filter[], passes: boolean][] = [
    [[], true],
    [[{ exact: { type: 'order.placed' } }], true],
    [[{ exact: { type: 'order.placed', source: '/else' } }], false],
    [[{ exact: { type: 'Order.Placed' } }], false],
    [[{ exact: { count: '3' } }], true],
    [[{ exact: { constructor: 'x' } }], false],
    [[{ prefix: { type: 'order.', source: '/' } }], true],
    [[{ prefix: { type: 'placed' } }], false],
    [[{ prefix: { type: 'order.', source: 'x' } }], false],
    [[{ suffix: { type: '.placed' } }], true],
    [[{ suffix: { subject: 'x' } }], false],
    [[{ all: [{ exact: { id: '1' } }, { prefix: { type: 'order' } }] }], true],
    [[{ all: [{ exact: { id: '1' } }, { exact: { id: '2' } }] }], false],
    [[{ any: [{ exact: { id: '2' } }, { exact: { id: '1' } }] }], true],
    [[{ any: [{ exact: { id: '2' } }] }], false],
    [[{ not: { exact: { id: '2' } } }], true],
    [[{ not: { exact: { subject: 'x' } } }], true],
    [[{ exact: { id: '1' } }, { not: { exact: { id: '1' } } }], false],
    [[{} as Filter], false],
  ];
  for (const [filters, expected] of table) assert.equal(passes({ filters }), expected, JSON.stringify(filters));
});

test('the old filter wants equal attributes, an empty value means present, and filters win over it', () => {
  assert.equal(passes({ filter: {} }), true);
  assert.equal(passes({ filter: { attributes: { type: 'order.placed', source: '' } } }), true);
  assert.equal(passes({ filter: { attributes: { subject: '' } } }), false);
  assert.equal(passes({ filter: { attributes: { type: 'other' } } }), false);
  assert.equal(passes({ filter: { attributes: { type: 'other' } }, filters: [{ exact: { id: '1' } }] }), true);
  assert.equal(passes({ filter: { attributes: { type: 'other' } }, filters: [] }), false);
});

test('CloudEvents SQL is named as not supported, wherever it stands', () => {
  const filters = [{ exact: { id: '1' } }, { any: [{ not: { cesql: "type = 'x'" } }] }];
  assert.deepEqual(compileFilter({ filters }), {
    unsupported: 'spec.filters[1].any[0].not.cesql: CloudEvents SQL is not supported yet',
  });
});

const leaf: fc.Arbitrary<Filter> = fc.constantFrom<Filter>(
  { exact: { id: '1' } },
  { exact: { id: '2' } },
  { prefix: { type: 'order' } },
  { suffix: { type: 'x' } },
);
const { filter } = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie('filter'), { minLength: 1, maxLength: 3 }).map((all) => ({ all })),
    fc.array(tie('filter'), { minLength: 1, maxLength: 3 }).map((any) => ({ any })),
    tie('filter').map((not) => ({ not })),
  ),
}));

test('all, any and not obey the laws of De Morgan, and a list of filters is their all', () => {
  fc.assert(
    fc.property(fc.array(filter, { minLength: 1, maxLength: 4 }), (list) => {
      const negated = list.map((not) => ({ not }));
      assert.equal(passes({ filters: [{ not: { any: list } }] }), passes({ filters: [{ all: negated }] }));
      assert.equal(passes({ filters: [{ not: { all: list } }] }), passes({ filters: [{ any: negated }] }));
      assert.equal(passes({ filters: list }), passes({ filters: [{ all: list }] }));
    }),
  );
});
