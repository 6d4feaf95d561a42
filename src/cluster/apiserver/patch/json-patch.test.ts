import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { JsonPatchOperation } from '../../../kube/client.ts';
import { applyJsonPatch } from './json-patch.ts';

/** Examples of RFC 6902, appendix A, and what its text says besides. */
const examples: [rule: string, document: unknown, operations: JsonPatchOperation[], result: unknown][] = [
  ['adds a member', { foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux' }], { baz: 'qux', foo: 'bar' }],
  ['adds an item', { foo: ['a', 'c'] }, [{ op: 'add', path: '/foo/1', value: 'b' }], { foo: ['a', 'b', 'c'] }],
  ['appends at -', { foo: ['a'] }, [{ op: 'add', path: '/foo/-', value: ['b'] }], { foo: ['a', ['b']] }],
  ['replaces what an add finds', { foo: 1 }, [{ op: 'add', path: '/foo', value: null }], { foo: null }],
  ['removes a member', { baz: 1, foo: 2 }, [{ op: 'remove', path: '/baz' }], { foo: 2 }],
  ['removes an item', { foo: [1, 2, 3] }, [{ op: 'remove', path: '/foo/1' }], { foo: [1, 3] }],
  ['replaces', { a: { b: 1 } }, [{ op: 'replace', path: '/a/b', value: 2 }], { a: { b: 2 } }],
  ['replaces an item', { a: [1, 2, 3] }, [{ op: 'replace', path: '/a/1', value: null }], { a: [1, null, 3] }],
  ['replaces the whole', { a: 1 }, [{ op: 'replace', path: '', value: [1] }], [1]],
  ['moves', { a: { b: 1 }, c: {} }, [{ op: 'move', from: '/a/b', path: '/c/d' }], { a: {}, c: { d: 1 } }],
  ['moves within a list', [1, 2, 3], [{ op: 'move', from: '/0', path: '/2' }], [2, 3, 1]],
  ['copies', { a: [1] }, [{ op: 'copy', from: '/a', path: '/b' }], { a: [1], b: [1] }],
  ['passes a test', { a: { b: [1, 2] } }, [{ op: 'test', path: '/a', value: { b: [1, 2] } }], { a: { b: [1, 2] } }],
  ['takes a test without a value for one of null', { a: null }, [{ op: 'test', path: '/a' } as never], { a: null }],
  [
    'reads ~0 and ~1',
    { 'a/b': 1, 'm~n': 2, '~1': 3 },
    [
      { op: 'remove', path: '/a~1b' },
      { op: 'remove', path: '/m~0n' },
    ],
    { '~1': 3 },
  ],
  ['reads ~01 as ~1', { '~1': 3 }, [{ op: 'remove', path: '/~01' }], {}],
  ['has members with an empty name', { '': 1 }, [{ op: 'replace', path: '/', value: 2 }], { '': 2 }],
];

for (const [rule, document, operations, result] of examples) {
  test(`a JSON patch ${rule}`, () => {
    const before = structuredClone(document);
    assert.deepEqual(applyJsonPatch(document, operations), result);
    assert.deepEqual(document, before, 'the document stays as it was');
  });
}

const refused: [rule: string, document: unknown, operations: unknown[], why: RegExp][] = [
  ['an operation that is null', {}, [null], /an operation must be an object/],
  ['a test that fails', { a: 1 }, [{ op: 'test', path: '/a', value: 2 }], /testing path \/a failed/],
  ['a removal of what is not there', { a: 1 }, [{ op: 'remove', path: '/b' }], /path \/b does not exist/],
  ['a replacement of what is not there', {}, [{ op: 'replace', path: '/b', value: 1 }], /path \/b does not exist/],
  ['an add below what is not there', {}, [{ op: 'add', path: '/a/b', value: 1 }], /path \/a\/b does not exist/],
  ['an add below null', { a: null }, [{ op: 'add', path: '/a/b', value: 1 }], /path \/a\/b does not exist/],
  ['a removal below a text', { a: 'b' }, [{ op: 'remove', path: '/a/length' }], /path \/a\/length does not exist/],
  ['an add beyond the end', { a: [1] }, [{ op: 'add', path: '/a/2', value: 1 }], /beyond the end of the list/],
  ['a removal at the end', { a: [1] }, [{ op: 'remove', path: '/a/1' }], /path \/a\/1 does not exist/],
  ['an index with a leading zero', { a: [1, 2] }, [{ op: 'remove', path: '/a/01' }], /has "01" where a list needs/],
  ['a name where an index must be', { a: [1] }, [{ op: 'remove', path: '/a/length' }], /has "length" where a list/],
  ['- where something must be', { a: [1] }, [{ op: 'remove', path: '/a/-' }], /has "-" where a list needs an index/],
  ['no path', { a: 1 }, [{ op: 'remove' }], /an operation needs a path/],
  ['a path without its slash', { a: 1 }, [{ op: 'remove', path: 'a' }], /path "a" does not begin with "\/"/],
  ['a move into itself', { a: { b: 1 } }, [{ op: 'move', from: '/a', path: '/a/b' }], /cannot move \/a into itself/],
  ['an unknown operation', {}, [{ op: 'spam', path: '/a' }], /unknown operation "spam"/],
  ['a name that objects inherit', {}, [{ op: 'remove', path: '/constructor' }], /\/constructor does not exist/],
];

for (const [rule, document, operations, message] of refused) {
  test(`a JSON patch with ${rule} is refused whole`, () => {
    const apply = () => applyJsonPatch(document, operations as JsonPatchOperation[]);
    assert.throws(apply, { code: 422, message });
  });
}

test('a path in an error is cut where it is longer than 100 characters', () => {
  const told = (path: string) => {
    try {
      applyJsonPatch({}, [{ op: 'remove', path }]);
    } catch (error) {
      return /path (.*) does not exist/.exec(String(error))?.[1];
    }
    return undefined;
  };
  const whole = `/${'a'.repeat(99)}`;
  assert.equal(told(whole), whole);
  assert.equal(told(`${whole}b`), `${whole}…`);
});

test('a JSON patch with too many operations is refused as too large', () => {
  const operations = Array.from({ length: 10_001 }, () => ({ op: 'test' as const, path: '', value: {} }));
  assert.throws(() => applyJsonPatch({}, operations), {
    code: 413,
    reason: 'RequestEntityTooLarge',
    message: 'Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001',
  });
});

test('copies that grow without bound are refused before they are made', () => {
  const operations = Array.from({ length: 40 }, (_, i) => ({
    op: 'copy' as const,
    from: '/data',
    path: `/data/c${i}`,
  }));
  assert.throws(() => applyJsonPatch({ data: { a: 'x'.repeat(50) } }, operations), {
    code: 422,
    message: /the accumulated size increase of copy is \d+, exceeding the limit 3145728/,
  });
});

test('3 MiB may be copied in all, and not a byte more', () => {
  const copyOf = (bytes: number) =>
    applyJsonPatch({ text: 'x'.repeat(bytes - 2) }, [{ op: 'copy', from: '/text', path: '/copy' }]);
  assert.ok(copyOf(3_145_728));
  assert.throws(() => copyOf(3_145_729), { code: 422, message: /is 3145729, exceeding the limit 3145728/ });
});

test('values that operations nest ever deeper are refused', () => {
  const deeper = (op: 'copy' | 'move') =>
    Array.from({ length: 5000 }, (_, i) => [
      { op: 'add' as const, path: `/t${i % 2}`, value: {} },
      { op, from: `/t${(i + 1) % 2}`, path: `/t${i % 2}/in` },
    ]).flat();
  for (const op of ['copy', 'move'] as const) {
    assert.throws(() => applyJsonPatch({ t0: {}, t1: {} }, deeper(op)), { code: 422, message: /nested deeper/ });
  }
  const adds = Array.from({ length: 501 }, (_, i) => ({ op: 'add' as const, path: '/a'.repeat(i + 1), value: {} }));
  assert.ok(applyJsonPatch({}, adds.slice(0, 500)));
  assert.throws(() => applyJsonPatch({}, adds), { code: 422, message: /nested deeper than 500/ });
});

test('what is copied may nest as deep as an object may, and no deeper', () => {
  const copyOf = (depth: number) => {
    let value: unknown = 1;
    for (let i = 0; i < depth; i++) value = { a: value };
    return applyJsonPatch({ from: value, to: {} }, [{ op: 'copy', from: '/from', path: '/to/copy' }]);
  };
  assert.ok(copyOf(498));
  assert.throws(() => copyOf(499), { code: 422, message: /path \/to\/copy is nested deeper than 500/ });
});

test('a patch may move 50 million items along in its lists, and not one more', () => {
  const count = 500_000;
  const document = { list: new Array(count).fill(0), short: [1] };
  const shiftAll = { op: 'remove' as const, path: '/list/0' };
  const shiftNone = { op: 'add' as const, path: '/list/-', value: 0 };
  const operations = Array.from({ length: 50_000_000 / count }, () => [shiftAll, shiftNone]).flat();
  assert.deepEqual(applyJsonPatch(document, [...operations, { op: 'add', path: '/short/1', value: 2 }]), {
    list: document.list,
    short: [1, 2],
  });
  for (const one of [
    { op: 'add', path: '/short/0', value: 2 },
    { op: 'remove', path: '/short/0' },
  ] as const) {
    assert.throws(() => applyJsonPatch(document, [...operations, one]), { code: 422, message: /moves too much/ });
  }
});

test('inserts into and removals from the end of a long list cost nothing', () => {
  const document = { list: new Array(400_000).fill(0) };
  const add = { op: 'add' as const, path: '/list/-', value: 1 };
  const remove = { op: 'remove' as const, path: '/list/400000' };
  const patched = applyJsonPatch(document, Array.from({ length: 200 }, () => [add, remove]).flat());
  assert.deepEqual(patched, document);
});

test('a patch made of two documents turns one into the other', () => {
  const json = fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 5 });
  fc.assert(
    fc.property(json, json, (from, to) => {
      const path = (key: string) => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
      const operations: JsonPatchOperation[] = [
        ...Object.keys(from).map((key) => ({ op: 'remove' as const, path: path(key) })),
        ...Object.entries(to).map(([key, value]) => ({ op: 'add' as const, path: path(key), value })),
      ];
      assert.equal(JSON.stringify(applyJsonPatch(from, operations)), JSON.stringify(to));
    }),
  );
});
