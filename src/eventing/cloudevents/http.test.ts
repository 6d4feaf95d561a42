import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KittiwakeError } from '../../lib/errors.ts';
import type { CloudEvent } from './event.ts';
import { decodeHeaderValue, encodeHeaderValue } from './header-value.ts';
import { contentModeOf, decodeHttp, encodeBinary, encodeStructured } from './http.ts';

const required = ['ce-specversion', '1.0', 'ce-id', '1', 'ce-source', '/s', 'ce-type', 't'];
const structured = ['content-type', 'application/cloudevents+json'];
const noBody = Buffer.alloc(0);

const decodeJson = (value: unknown) => decodeHttp(structured, Buffer.from(JSON.stringify(value)));
const minimal = { specversion: '1.0', id: '1', source: '/s', type: 't' };

// What attributes may hold: no control characters and no lone surrogates.
const text = fc
  .string({ unit: 'grapheme', minLength: 1 })
  .filter((s) => !/[\p{Cc}\p{Surrogate}]/u.test(s) && s.isWellFormed());
const event: fc.Arbitrary<CloudEvent> = fc
  .record({
    id: text,
    type: text,
    extensions: fc.dictionary(fc.stringMatching(/^ext[a-z0-9]{1,8}$/), text),
    data: fc.option(fc.uint8Array({ minLength: 1, maxLength: 200 }), { nil: undefined }),
    contentType: fc.constantFrom('application/json', 'text/plain', 'application/octet-stream', 'application/xml'),
  })
  .map(({ id, type, extensions, data, contentType }) => ({
    attributes: { specversion: '1.0', id, type, source: '/source', ...extensions, datacontenttype: contentType },
    ...(data === undefined ? {} : { data: Buffer.from(data) }),
  }));

test('an event in binary mode comes back as it went', () => {
  fc.assert(
    fc.property(event, (sent) => {
      const { headers, body } = encodeBinary(sent);
      for (const value of headers) assert.match(value, /^[\x21-\x7e]*$/);
      assert.deepEqual(decodeHttp(headers, body ?? noBody), sent);
    }),
  );
});

test('an event in structured mode comes back as it went', () => {
  fc.assert(
    fc.property(event, (sent) => {
      const { headers, body } = encodeStructured(sent);
      assert.deepEqual(decodeHttp(headers, body ?? noBody), sent);
    }),
  );
});

test('JSON data comes through structured mode byte for byte', () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom('', '"a":"{,}\\\\",', '"d\\u0061ta":1,'), (json, before) => {
      const body = `{${before}"specversion":"1.0","id":"1","source":"/s","type":"t", "data" : ${json} }`;
      assert.equal(decodeHttp(structured, Buffer.from(body)).data?.toString(), json);
    }),
  );
  const body = Buffer.from('{"specversion":"1.0","id":"1","source":"/s","type":"t","data":12345678901234567890.10}');
  assert.equal(decodeHttp(structured, body).data?.toString(), '12345678901234567890.10');
});

test('any header value survives one pass of encoding and one of decoding', () => {
  fc.assert(fc.property(text, (value) => decodeHeaderValue(encodeHeaderValue(value), 'x') === value));
});

test('header values are encoded as the HTTP binding has it', () => {
  const table: [value: string, header: string][] = [
    ['Euro € 😀', 'Euro%20%E2%82%AC%20%F0%9F%98%80'],
    ['100%', '100%25'],
    ['say "hi"', 'say%20%22hi%22'],
    ['a/b?c=d&e', 'a/b?c=d&e'],
    ['%20', '%2520'],
  ];
  for (const [value, header] of table) {
    assert.equal(encodeHeaderValue(value), header);
    assert.equal(decodeHeaderValue(header, 'x'), value);
  }
});

test('header values of other senders are decoded: quoted, lower case, not encoded, needlessly encoded', () => {
  const table: [header: string, value: string][] = [
    ['"a \\"b\\" c"', 'a "b" c'],
    ['"a%20b"', 'a b'],
    ['%e2%82%ac', '€'],
    ['%41', 'A'],
    ['%2520', '%20'],
    ['50% off', '50% off'],
    ['100%', '100%'],
    [Buffer.from('€').toString('latin1'), '€'],
  ];
  for (const [header, value] of table) assert.equal(decodeHeaderValue(header, 'x'), value);
});

test('bytes that are not UTF-8 are refused in header values', () => {
  for (const header of ['%C0%A0', '%FF', '%ED%A0%80', 'a%80b']) {
    assert.throws(() => decodeHeaderValue(header, 'subject'), /"subject" .* does not decode to UTF-8/);
  }
});

test('what is no event is refused with the reason', () => {
  const without = (name: string) => required.filter((_, i) => required[i - (i % 2)] !== `ce-${name}`);
  const table: [headers: string[], why: RegExp][] = [
    [without('id'), /the event lacks "id"/],
    [without('source'), /the event lacks "source"/],
    [without('type'), /the event lacks "type"/],
    [without('specversion'), /the event lacks "specversion"/],
    [[...without('id'), 'ce-id', ''], /"id" is empty/],
    [[...without('specversion'), 'ce-specversion', '19.0'], /specversion is "19.0": 1.0 and 0.3 are supported/],
    [[...required, 'ce-my_ext', 'x'], /"my_ext" is not an attribute name/],
    [[...required, 'ce-data', 'x'], /"data" is not an attribute name/],
    [[...required, 'CE-ID', '2'], /ce-id is there twice/],
    [[...required, 'ce-datacontenttype', 'text/plain'], /ce-datacontenttype/],
    [[...required, 'ce-time', 'yesterday'], /"time" is "yesterday": it must be a timestamp/],
    [[...required, 'ce-time', '2026-02-30T00:00:00Z'], /must be a timestamp/],
    [[...required, 'ce-subject', ''], /"subject" is "": it must not be empty/],
    [[...required, 'ce-dataschema', 'schema.json'], /must be an absolute URI/],
    [[...required, 'content-type', 'json'], /must be a media type/],
    [[...without('source'), 'ce-source', 'a%20b%0A'], /control characters/],
    [[...without('source'), 'ce-source', 'a b'], /must be a URI reference/],
  ];
  for (const [headers, why] of table) {
    assert.throws(
      () => decodeHttp(headers, noBody),
      (error) => {
        assert.ok(error instanceof KittiwakeError);
        assert.equal(error.code, 'EVENT_INVALID');
        assert.match(error.message, why);
        return true;
      },
    );
  }
});

test('what is no event in JSON is refused with the reason', () => {
  const table: [body: string, why: RegExp][] = [
    ['', /not JSON/],
    ['{"id":', /not JSON/],
    ['[]', /not an object/],
    ['{}', /lacks "specversion"/],
    [JSON.stringify({ ...minimal, id: 7 }), /"id" is 7, it must be a string/],
    [JSON.stringify({ ...minimal, id: null }), /lacks "id"/],
    [JSON.stringify({ ...minimal, Ext: 'x' }), /"Ext" is not an attribute name/],
    [JSON.stringify({ ...minimal, ext: { a: 1 } }), /attributes are strings, integers or booleans/],
    [JSON.stringify({ ...minimal, ext: 1.5 }), /numbers must be whole/],
    [JSON.stringify({ ...minimal, ext: 2 ** 31 }), /numbers must be whole/],
    [JSON.stringify({ ...minimal, ext: '\ud800' }), /control characters/],
    [JSON.stringify({ ...minimal, data: 1, data_base64: 'AA==' }), /only one may be/],
    [JSON.stringify({ ...minimal, data_base64: '*' }), /not base64/],
    [JSON.stringify({ ...minimal, datacontenttype: 'text/plain', data: {} }), /"data" must be a string/],
  ];
  for (const [body, why] of table) assert.throws(() => decodeHttp(structured, Buffer.from(body)), why);
  assert.throws(() => decodeHttp(structured, Buffer.from([0x7b, 0xff, 0x7d])), /not UTF-8/);
});

test('batches and formats other than JSON are refused as not supported', () => {
  for (const type of [
    'application/cloudevents-batch+json',
    'application/cloudevents+avro',
    'application/cloudevents+json; charset=utf-16',
  ]) {
    assert.throws(() => decodeHttp(['Content-Type', type], Buffer.from('[]')), { code: 'EVENT_MODE_UNSUPPORTED' });
  }
  assert.equal(contentModeOf('Application/CloudEvents+JSON; charset="UTF-8"'), 'structured');
  assert.equal(contentModeOf('application/json'), 'binary');
});

test('the data of JSON events is what its type says', () => {
  const data = (value: unknown) => decodeJson({ ...minimal, ...(value as object) }).data?.toString();
  assert.equal(data({ datacontenttype: 'application/xml', data: '<a/>' }), '<a/>');
  assert.equal(data({ datacontenttype: 'application/json', data: '<a/>' }), '"<a/>"');
  assert.equal(data({ datacontenttype: 'application/problem+json', data: { a: 1 } }), '{"a":1}');
  assert.equal(data({ data: null }), 'null');
  assert.equal(data({ data_base64: 'aGk=' }), 'hi');
  assert.equal(data({}), undefined);
  assert.equal(decodeJson({ ...minimal, data: 1 }).attributes.datacontenttype, 'application/json');
  assert.equal(decodeJson({ ...minimal, data_base64: 'aGk=' }).attributes.datacontenttype, undefined);
});

test('version 0.3 is taken as it is', () => {
  const old = { ...minimal, specversion: '0.3', schemaurl: 'x', datacontentencoding: 'base64', data: 'aGk=' };
  const { attributes, data } = decodeJson(old);
  assert.deepEqual(attributes, { specversion: '0.3', id: '1', source: '/s', type: 't', schemaurl: 'x' });
  assert.equal(data?.toString(), 'hi');
  const { headers } = encodeBinary({ attributes });
  assert.equal(headers[headers.indexOf('ce-specversion') + 1], '0.3');
  const again = encodeStructured({ attributes, data: Buffer.from([255]) });
  assert.deepEqual(decodeHttp(again.headers, again.body ?? noBody).data, Buffer.from([255]));
});

test('types of attributes stay in JSON and are text in headers', () => {
  const typed = { ...minimal, count: 3, final: true };
  const { attributes } = decodeJson(typed);
  assert.deepEqual(attributes, typed);
  const { headers } = encodeBinary({ attributes });
  assert.equal(headers[headers.indexOf('ce-count') + 1], '3');
  assert.equal(headers[headers.indexOf('ce-final') + 1], 'true');
});
