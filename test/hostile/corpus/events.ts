/** Events as HTTP messages: sent to the broker, and given by subscribers as their replies. */
export interface EventMessage {
  headers: Record<string, string>;
  body: string | Buffer;
}

const base = { specversion: '1.0', id: '1', source: '/hostile', type: 'hostile' };
const structured = (event: unknown, charset = ''): EventMessage => ({
  headers: { 'content-type': `application/cloudevents+json${charset}` },
  body: typeof event === 'string' ? event : JSON.stringify(event),
});
const binary = (headers: Record<string, string>, body: string | Buffer = ''): EventMessage => ({
  headers: {
    'ce-specversion': '1.0',
    'ce-id': '1',
    'ce-source': '/hostile',
    'ce-type': 'hostile',
    ...headers,
  },
  body,
});
const deep = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
const attributes = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`a${i}`, 'x']));

export const events: Record<string, EventMessage> = {
  'a media type with the euro sign': structured({ ...base, datacontenttype: 'text/plain; x=€', data: 'x' }),
  'a media type with a line feed': structured({ ...base, datacontenttype: 'text/plain\r\nX-Evil: 1', data: 'x' }),
  'a media type with NUL': structured({ ...base, datacontenttype: 'text/pl\0ain', data: 'x' }),
  'a media type of a slash': structured({ ...base, datacontenttype: '/', data: 'x' }),
  'a media type of quotes': structured({ ...base, datacontenttype: 'text/plain; x="', data: 'x' }),
  'a media type of 1 MB': structured({ ...base, datacontenttype: `text/${'a'.repeat(900_000)}`, data: 'x' }),
  'a media type that is structured itself': structured({ ...base, datacontenttype: 'application/cloudevents+json' }),
  'a media type that is a batch': structured({ ...base, datacontenttype: 'application/cloudevents-batch+json' }),
  'no attributes': structured({}),
  null: structured('null'),
  'an array': structured([base]),
  'a number': structured('1e999'),
  'half of a JSON': structured('{"specversion":"1.0",'),
  nothing: structured(''),
  'bytes that are no UTF-8': {
    headers: { 'content-type': 'application/cloudevents+json' },
    body: Buffer.from([0xff, 0xfe, 0]),
  },
  'a byte order mark': structured(`\ufeff${JSON.stringify(base)}`),
  'UTF-16': {
    headers: { 'content-type': 'application/cloudevents+json; charset=utf-16' },
    body: Buffer.from(JSON.stringify(base), 'utf16le'),
  },
  'a charset of nonsense': structured(base, '; charset="'),
  'ids of all types': structured({ ...base, id: { a: 1 } }),
  'an empty id': structured({ ...base, id: '' }),
  'an id of 1 MB': structured({ ...base, id: 'i'.repeat(900_000) }),
  'an id of 40 kB': structured({ ...base, id: 'i'.repeat(40_000) }),
  'an id of control characters': structured({ ...base, id: 'a\u0001\u0085b' }),
  'an id of a lone surrogate': structured('{"specversion":"1.0","id":"\\ud800","source":"/s","type":"t"}'),
  'an id of emoji': structured({ ...base, id: '💥'.repeat(1_000) }),
  'an id that ends in a space': structured({ ...base, id: 'a ' }),
  'an id that ends in a space that is none': structured({ ...base, id: 'a\u00a0' }),
  'an id that is cut within an emoji where it is bounded': structured({ ...base, id: `x${'💥'.repeat(1_000)}` }),
  'an id with a percent sign': structured({ ...base, id: '%0d%0a%', type: '"%22' }),
  'a source that is no URI': structured({ ...base, source: 'http://[::1' }),
  'a source of spaces': structured({ ...base, source: ' / ' }),
  'a time that is none': structured({ ...base, time: '2026-13-45T99:99:99Z' }),
  'a time of 100 digits': structured({ ...base, time: `2026-01-01T00:00:00.${'1'.repeat(100)}Z` }),
  'a version of the future': structured({ ...base, specversion: '9.9' }),
  'version 0.3': structured({ ...base, specversion: '0.3', datacontentencoding: 'base64', data: '####' }),
  'data and data_base64': structured({ ...base, data: 'a', data_base64: 'YQ==' }),
  'data_base64 that is none': structured({ ...base, data_base64: '!!!' }),
  'data_base64 that is a number': structured({ ...base, data_base64: 5 }),
  'data nested 5,000 deep': structured(`{"specversion":"1.0","id":"1","source":"/s","type":"t","data":${deep(5_000)}}`),
  'data nested 100,000 deep': structured(
    `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":${deep(100_000)}}`,
  ),
  'data of JSON that is none': structured({ ...base, datacontenttype: 'application/json', data_base64: 'e2F9' }),
  'extensions named __proto__': structured(
    '{"specversion":"1.0","id":"1","source":"/s","type":"t","__proto__":{"a":1},"constructor":"x"}',
  ),
  'an extension named data': structured({ ...base, data_x: 'a' }),
  'an extension of upper case': structured({ ...base, UPPER: 'a' }),
  'an extension of an object': structured({ ...base, ext: { a: [1] } }),
  'an extension beyond int32': structured({ ...base, ext: 2 ** 40 }),
  'an extension of 1.5': structured({ ...base, ext: 1.5 }),
  'a thousand extensions': structured({ ...base, ...attributes(1_000) }),
  'fifty thousand extensions': structured({ ...base, ...attributes(50_000) }),
  'an extension named host': structured({ ...base, host: 'evil', contentlength: '5', transferencoding: 'chunked' }),
  'an extension of 100 kB': structured({ ...base, ext: 'x'.repeat(100_000) }),
  'an extension with a line feed': structured({ ...base, ext: 'a\r\nHost: evil' }),
  'a ttl of nonsense': structured({ ...base, knativebrokerttl: 'many', knativearrivaltime: 'never' }),
  'a ttl below zero': structured({ ...base, knativebrokerttl: -5 }),
  'a traceparent of nonsense': structured({ ...base, traceparent: '\u00e4', tracestate: '=' }),
  'a batch': { headers: { 'content-type': 'application/cloudevents-batch+json' }, body: JSON.stringify([base, base]) },
  'another format': { headers: { 'content-type': 'application/cloudevents+avro' }, body: 'x' },
  'binary without a body': binary({}),
  'binary with an encoded attribute that is broken': binary({ 'ce-id': '%zz%e2%82' }),
  'binary with an encoded line feed': binary({ 'ce-ext': 'a%0d%0ab' }),
  'binary with latin1': binary({ 'ce-ext': '\u00e4\u00ff' }),
  'binary with an attribute of 8 kB': binary({ 'ce-ext': 'x'.repeat(8_000) }),
  'binary with a hundred attributes': binary(
    Object.fromEntries(Object.keys(attributes(100)).map((n) => [`ce-${n}`, 'x'])),
  ),
  'binary with ce-data': binary({ 'ce-data': 'x' }),
  'binary with an empty name': binary({ 'ce-': 'x' }),
  'binary with a name of dashes': binary({ 'ce-a-b-c': 'x' }),
  'binary with a content type of nonsense': binary({ 'content-type': ';;;=' }, 'x'),
  'binary with JSON that is none': binary({ 'content-type': 'application/json' }, '{a'),
  'binary with 900 kB of zeros': binary({ 'content-type': 'application/octet-stream' }, Buffer.alloc(900_000)),
  'binary and structured at once': {
    ...binary({ 'content-type': 'application/cloudevents+json' }, JSON.stringify(base)),
  },
  'more than the limit': binary({ 'content-type': 'text/plain' }, Buffer.alloc(3_000_000, 0x61)),
};
