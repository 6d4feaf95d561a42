import assert from 'node:assert/strict';
import { test } from 'node:test';
import { negotiate } from './media-type.ts';

const table = 'application/json;as=Table;v=v1;g=meta.k8s.io';
const plain = { encoding: 'json', shape: 'object', version: 'v1' };
const cases: [string | undefined, object | undefined][] = [
  [undefined, plain],
  ['*/*', plain],
  ['application/json', plain],
  ['application/vnd.kubernetes.protobuf', plain],
  ['application/vnd.kubernetes.protobuf,application/json', plain],
  ['application/json;stream=watch', plain],
  ['text/html,application/xhtml+xml,*/*;q=0.8', plain],
  ['application/yaml', { ...plain, encoding: 'yaml' }],
  [`${table},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json`, { ...plain, shape: 'Table' }],
  ['application/json;as=Table;v=v1beta1;g=meta.k8s.io', { ...plain, shape: 'Table', version: 'v1beta1' }],
  ['application/json;as=Table;v=v9;g=meta.k8s.io, application/json', plain],
  [
    'application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,' +
      'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
    { ...plain, shape: 'PartialObjectMetadata' },
  ],
  ['text/csv', undefined],
  ['application/json;as=Table;v=v9;g=meta.k8s.io', undefined],
];
for (const [accept, expected] of cases) {
  test(`Accept: ${accept ?? '(absent)'}`, () => assert.deepEqual(negotiate(accept), expected));
}
