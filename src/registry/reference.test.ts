import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseChallenge } from './auth.ts';
import { digestOf, parseDigest } from './digest.ts';
import { formatReference, parseReference, type Reference } from './reference.ts';

const digest = digestOf('x');

test('an image reference is read as every container tool reads it', () => {
  const table: [string, Reference][] = [
    ['registry.localhost/default/orders', { host: 'registry.localhost', name: 'default/orders' }],
    ['127.0.0.1:8082/a/b:v1', { host: '127.0.0.1:8082', name: 'a/b', tag: 'v1' }],
    ['localhost/a', { host: 'localhost', name: 'a' }],
    [`ghcr.io/a/b:v1@${digest}`, { host: 'ghcr.io', name: 'a/b', tag: 'v1', digest }],
    ['nginx', { host: 'docker.io', name: 'library/nginx' }],
    ['nginx:1.27', { host: 'docker.io', name: 'library/nginx', tag: '1.27' }],
    ['docker.io/team/app', { host: 'docker.io', name: 'team/app' }],
    ['docker.io/nginx', { host: 'docker.io', name: 'library/nginx' }],
    ['[::1]:5000/a', { host: '[::1]:5000', name: 'a' }],
  ];
  for (const [text, reference] of table) assert.deepEqual(parseReference(text), reference, text);
});

test('what is no reference is refused with the part that is wrong', () => {
  const table: [string, RegExp][] = [
    ['', /is not an image reference/],
    ['a.b/', /name ""/],
    ['a.b/Team/app', /lower case/],
    ['a.b/../etc', /name "\.\.\/etc"/],
    ['a.b/a//b', /name/],
    ['a.b/a:-x', /bad tag "-x"/],
    ['a.b/a@sha256:123', /64 hex digits/],
    [`a.b/a@${digest}@${digest}`, /what follows @/],
    ['a_b.c:x/y', /bad registry host/],
  ];
  for (const [text, message] of table) assert.throws(() => parseReference(text), message, text);
});

test('a reference that is written is read back equal', () => {
  const part = fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,8})?$/);
  const reference = fc.record(
    {
      host: fc.constantFrom('registry.localhost', 'example.com:5000', '127.0.0.1:1', '[::1]:80'),
      name: fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')),
      tag: fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,20}$/),
      digest: fc.constant(digest),
    },
    { requiredKeys: ['host', 'name'] },
  );
  fc.assert(fc.property(reference, (r) => assert.deepEqual(parseReference(formatReference(r)), { ...r })));
});

test('only well-formed digests are read, so that they are safe in paths', () => {
  assert.equal(parseDigest(digest)?.hex, digest.slice(7));
  for (const text of ['', 'sha256:', `md5:${'0'.repeat(32)}`, digest.toUpperCase(), `sha256:${'../'.repeat(21)}a`]) {
    assert.equal(parseDigest(text), undefined, text);
  }
});

test('the challenge of a registry is read, with quoted commas', () => {
  assert.deepEqual(parseChallenge('Bearer realm="https://a/t",service="s",scope="repository:a:pull,push"'), {
    scheme: 'bearer',
    parameters: { realm: 'https://a/t', service: 's', scope: 'repository:a:pull,push' },
  });
  assert.equal(parseChallenge('basic realm="x"')?.scheme, 'basic');
  assert.equal(parseChallenge('Negotiate'), undefined);
});
