/** Whatever is accepted at the door can be sent on, in both modes, as the same event. */
import assert from 'node:assert/strict';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import { test } from 'node:test';
import fc from 'fast-check';
import { KittiwakeError } from '../../lib/errors.ts';
import type { CloudEvent } from './event.ts';
import { decodeHttp, encode, encodeBinary, encodeStructured, type HttpEvent } from './http.ts';

const structured = ['content-type', 'application/cloudevents+json'];

/** Text of which much is accepted, and much is just beside that. */
const near = (...parts: string[]) =>
  fc
    .array(
      fc.oneof({ weight: 30, arbitrary: fc.constantFrom(...parts) }, fc.string({ unit: 'binary', maxLength: 2 })),
      {
        maxLength: 8,
      },
    )
    .map((list) => list.join(''));

/** Mostly what is good, so that in one event there is one thing, or two, that may not be. */
const mostly = <T>(good: T, other: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(good) }, { weight: 1, arbitrary: other });

const anyType = fc.oneof(
  near('text', '/', 'plain', '; ', ';', 'x', '=', '"', '\\', '€', 'é', ' ', '\t', '\r\n', '"a b"', '+json', 'xml'),
  near('; charset=', 'utf-8', '"utf-8"', ';', ' ', '€').map((parameters) => `text/plain${parameters}`),
);
const anyText = near('a', '%', '%41', '"', '\\', ' ', '€', '😀', '\u0000', '\n', '\ud800', '\u0085', '');
const anyValue = fc.oneof(anyText, fc.integer(), fc.boolean(), fc.constantFrom(null, -0, 1.5, 2 ** 31, {}, [], [[]]));
const anyJsonEvent = fc
  .record(
    {
      specversion: mostly('1.0', fc.constantFrom('0.3', '2')),
      id: mostly('1', anyText),
      source: mostly('/s', near('/', 'a', '%20', ':', '#')),
      type: mostly('t', anyText),
      datacontenttype: fc.oneof(fc.constant('text/plain'), anyType),
      subject: mostly('s', anyText),
      time: mostly('2026-01-01T00:00:00Z', fc.constantFrom('2026-12-31t23:59:60.5+01:00', 'now')),
      ext: mostly('x', anyValue),
      other: anyValue,
      data: fc.oneof(anyText, fc.jsonValue()),
      data_base64: fc.base64String(),
    },
    { requiredKeys: ['specversion', 'id', 'source', 'type'] },
  )
  .map((members): [string[], Buffer] => [structured, Buffer.from(JSON.stringify(members))]);

const asHeader = (text: string) => Buffer.from(text).toString('latin1');
const anyBinaryEvent = fc
  .record({
    type: anyType,
    id: mostly('1', anyText).map(String),
    source: mostly('/s', fc.constantFrom('a%20b', '"/quoted"', '€')).map(String),
    ext: anyText,
    body: fc.uint8Array({ maxLength: 20 }),
  })
  .map(({ type, id, source, ext, body }): [string[], Buffer] => [
    [
      'ce-specversion',
      '1.0',
      'ce-type',
      't',
      'ce-source',
      source,
      'ce-id',
      asHeader(id),
      'ce-ext',
      asHeader(ext),
    ].concat(type === '' ? [] : ['content-type', asHeader(type)]),
    Buffer.from(body),
  ]);

test('whatever is accepted can be sent on in both modes, and is the same event again', () => {
  let accepted = 0;
  const one = fc.property(fc.oneof(anyJsonEvent, anyBinaryEvent), ([headers, body]) => {
    const event = tryDecode(headers, body);
    if (!event) return;
    accepted++;
    for (const sent of [encodeBinary(event), encodeStructured(event), encode(event, 'binary')]) {
      assertSendable(sent);
      assert.deepEqual(asText(decodeHttp(sent.headers, sent.body ?? Buffer.alloc(0))), asText(event));
    }
  });
  fc.assert(one, { numRuns: 3000 });
  assert.ok(accepted > 50, `${accepted} of 3000 were accepted`);
});

test('media types are judged by their whole grammar, in both modes', () => {
  const good = [
    'text/plain',
    'application/vnd.x+json;charset=utf-8',
    'text/plain; x="a \\" b; c"; y=z',
    'text/plain;',
    'text/plain ; ;a=b',
  ];
  const bad = [
    ...['text/plain; x=€', 'text/plain; x="€"', 'text/plain; x', 'text/plain; x=', 'text/plain x=y', 'text/plain, a/b'],
    ...['text', 'text/', '/plain', 'text/plain; x="y', 'te xt/plain', 'text/plain; x = y', 'text/plain;\tx=\u0000'],
  ];
  const json = (type: string) => JSON.stringify({ ...minimal, datacontenttype: type, data: 'x' });
  const head = ['ce-specversion', '1.0', 'ce-id', '1', 'ce-source', '/s', 'ce-type', 't'];
  const decoded = (type: string) => [
    tryDecode(structured, Buffer.from(json(type))),
    tryDecode([...head, 'content-type', asHeader(type)], Buffer.from('"x"')),
  ];
  for (const type of good) {
    for (const event of decoded(type)) assert.equal(event?.attributes.datacontenttype, type);
  }
  for (const type of bad) assert.deepEqual(decoded(type), [undefined, undefined], type);
});

const minimal = { specversion: '1.0', id: '1', source: '/s', type: 't' };

test('an event that does not fit into headers is sent structured, and it is the same event', () => {
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`ext${i}`, 'x']));
  const table: [attributes: CloudEvent['attributes'], why: string][] = [
    [{ ...minimal, ...many }, 'more attributes than receivers take headers'],
    [{ ...minimal, subject: 'x'.repeat(10_000) }, 'one that is too long'],
    [{ ...minimal, subject: '€'.repeat(1000) }, 'one that is too long when it is encoded'],
    [{ ...minimal, datacontenttype: 'text/plain; x=€' }, 'what no header may hold'],
    [{ ...minimal, datacontenttype: 'text/plain\r\nx: y' }, 'what would be another header'],
    [{ ...minimal, 'bad name': 'x' }, 'a name that no header has'],
  ];
  const data = Buffer.from('"x"');
  for (const [attributes, why] of table) {
    const { headers, body } = encode({ attributes, data }, 'binary');
    assertSendable({ headers, body });
    assert.match(headers[1] ?? '', /^application\/cloudevents\+json/, why);
    assert.deepEqual(JSON.parse(String(body)), { ...attributes, ...dataMember(attributes) }, why);
  }
  const usual = encode({ attributes: { ...minimal, subject: 'x'.repeat(7000) }, data }, 'binary');
  assert.ok(usual.headers.includes('ce-subject'));

  function dataMember({ datacontenttype }: CloudEvent['attributes']) {
    return datacontenttype === undefined ? { data_base64: data.toString('base64') } : { data: '"x"' };
  }
});

test('what an error says of hostile input is short, and how deep the input is does not matter', () => {
  const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
  const long = 'x'.repeat(500_000);
  const members = [`"ext":${deep}`, `"Ext${long}":1`, `"ext":"${long}\\u0000"`, `"specversion":"${long}"`];
  for (const member of members) {
    const body = Buffer.from(`{"specversion":"1.0","id":"1","source":"/s","type":"t",${member}}`);
    assert.throws(
      () => decodeHttp(structured, body),
      (error) => error instanceof KittiwakeError && error.code === 'EVENT_INVALID' && error.message.length < 500,
    );
  }
});

/** The event, or undefined when it is refused in words; anything else that is thrown is thrown. */
function tryDecode(headers: string[], body: Buffer): CloudEvent | undefined {
  try {
    return decodeHttp(headers, body);
  } catch (error) {
    if (error instanceof KittiwakeError && error.status < 500) return undefined;
    throw error;
  }
}

function assertSendable({ headers }: HttpEvent): void {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    validateHeaderName(headers[i] ?? '');
    validateHeaderValue(headers[i] ?? '', headers[i + 1] ?? '');
  }
}

/** As it is in headers: attributes are text there, and no data is as good as none. */
function asText({ attributes, data }: CloudEvent) {
  const text = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, String(value)]));
  return { attributes: text, data: data?.toString('hex') ?? '' };
}
