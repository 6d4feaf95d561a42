import assert from 'node:assert/strict';
import { validateHeaderValue } from 'node:http';
import { test } from 'node:test';

interface Codec {
  readEvent(headers: Record<string, string>, body: Buffer): Record<string, unknown> | undefined;
  writeEvent(event: object): { headers: Record<string, string>; body: Buffer };
}
// JavaScript, as it is published: its types are checked in its own folder.
const { readEvent, writeEvent }: Codec = await import(new URL('cloudevent.js', import.meta.url).href);

const base = { specversion: '1.0', id: '1', source: '/s', type: 't', time: '2026-01-01T00:00:00Z' };

test('an event whose attributes are too many or too large for headers is answered in the structured mode', () => {
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`ext${i}`, 'x']));
  for (const attributes of [{ subject: '€'.repeat(2000) }, many]) {
    const { headers, body } = writeEvent({ ...base, ...attributes, data: { a: 1 } });
    assert.equal(headers['content-type'], 'application/cloudevents+json; charset=utf-8');
    assert.equal(Object.keys(headers).length, 1);
    const { data, ...read } = readEvent(headers, body) ?? {};
    assert.deepEqual(read, { ...base, ...attributes, datacontenttype: 'application/json' });
    assert.equal(String(data), '{"a":1}');
  }
  const { headers } = writeEvent({ ...base, subject: 'x'.repeat(7000) });
  assert.equal(headers['ce-subject']?.length, 7000);
});

test('a data content type that no header may hold is an error that names it', () => {
  for (const type of ['text/plain; x=€', 'text/plain\r\nx: y', 'text', 'text/plain; x', 5, { a: 1 }, null]) {
    const event = { ...base, datacontenttype: type, data: 'x' };
    assert.throws(() => writeEvent(event), /datacontenttype is .*: must be a media type/, String(type));
  }
  for (const type of ['text/plain', 'text/plain; charset="utf-8"', 'application/x+json;a=b']) {
    const { headers } = writeEvent({ ...base, datacontenttype: type, data: '1' });
    assert.equal(headers['content-type'], type);
    for (const name in headers) validateHeaderValue(name, headers[name] ?? '');
  }
});
