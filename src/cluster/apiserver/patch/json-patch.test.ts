import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ApiError } from '../../../api/status.ts';
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
  ['replaces the whole', { a: 1 }, [{ op: 'replace', path: '', value: [1] }], [1]],
  ['moves', { a: { b: 1 }, c: {} }, [{ op: 'move', from: '/a/b', path: '/c/d' }], { a: {}, c: { d: 1 } }],
  ['moves within a list', [1, 2, 3], [{ op: 'move', from: '/0', path: '/2' }], [2, 3, 1]],
  ['copies', { a: [1] }, [{ op: 'copy', from: '/a', path: '/b' }], { a: [1], b: [1] }],
  ['passes a test', { a: { b: [1, 2] } }, [{ op: 'test', path: '/a', value: { b: [1, 2] } }], { a: { b: [1, 2] } }],
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

const refused: [rule: string, document: unknown, operations: unknown[]][] = [
  ['a test that fails', { a: 1 }, [{ op: 'test', path: '/a', value: 2 }]],
  ['a path that is not there', { a: 1 }, [{ op: 'remove', path: '/b' }]],
  ['an add below what is not there', {}, [{ op: 'add', path: '/a/b', value: 1 }]],
  ['an index beyond the end', { a: [1] }, [{ op: 'add', path: '/a/2', value: 1 }]],
  ['an index with a leading zero', { a: [1, 2] }, [{ op: 'remove', path: '/a/01' }]],
  ['- where something must be', { a: [1] }, [{ op: 'remove', path: '/a/-' }]],
  ['a path without its slash', { a: 1 }, [{ op: 'remove', path: 'a' }]],
  ['a move into itself', { a: { b: 1 } }, [{ op: 'move', from: '/a', path: '/a/b' }]],
  ['an unknown operation', {}, [{ op: 'spam', path: '/a' }]],
  ['a name that objects inherit', {}, [{ op: 'remove', path: '/constructor' }]],
];

for (const [rule, document, operations] of refused) {
  test(`a JSON patch with ${rule} is refused whole`, () => {
    const apply = () => applyJsonPatch(document, operations as JsonPatchOperation[]);
    assert.throws(apply, (error: unknown) => error instanceof ApiError && error.code === 422);
  });
}

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

test('values that operations nest ever deeper are refused', () => {
  const deeper = (op: 'copy' | 'move') =>
    Array.from({ length: 5000 }, (_, i) => [
      { op: 'add' as const, path: `/t${i % 2}`, value: {} },
      { op, from: `/t${(i + 1) % 2}`, path: `/t${i % 2}/in` },
    ]).flat();
  for (const op of ['copy', 'move'] as const) {
    assert.throws(() => applyJsonPatch({ t0: {}, t1: {} }, deeper(op)), { code: 422, message: /nested deeper/ });
  }
  const path = '/a'.repeat(100_000);
  assert.throws(() => applyJsonPatch({ a: {} }, [{ op: 'test', path, value: 1 }]), { code: 422 });
});

test('a patch that moves a long list again and again is refused', () => {
  const document = { list: Array.from({ length: 200_000 }, () => 0) };
  const operations = Array.from({ length: 9000 }, () => ({ op: 'add' as const, path: '/list/0', value: 0 }));
  assert.throws(() => applyJsonPatch(document, operations), { code: 422, message: /too much/ });
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
