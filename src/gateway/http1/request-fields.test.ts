import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { defaultMessageLimits } from './limits.ts';
import { RequestHead, readRequestHead } from './request-head.ts';

function read(fields: string, method = 'GET'): RequestHead {
  const head = new RequestHead();
  readRequestHead(`${method} / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`, head, defaultMessageLimits);
  return head;
}

const refused = (text: string, why: { status: number; message: string | RegExp }) =>
  assert.throws(() => readRequestHead(text, new RequestHead(), defaultMessageLimits), why);

describe('what a request head says', () => {
  it('is nothing before it is read: no body, and another request may follow', () => {
    const { framing, contentLength, isKeepAlive } = new RequestHead();
    assert.deepEqual([framing, contentLength, isKeepAlive], ['none', 0, true]);
  });

  it('is what stands in it, and nothing of the head before', () => {
    const head = new RequestHead();
    const text =
      'POST /x HTTP/1.1\r\nHost: b\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n' +
      'X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: c\r\nForwarded: for=d\r\n' +
      'Traceparent: t\r\nX-Request-Id: r\r\nA: b\r\n\r\n';
    readRequestHead(text, head, defaultMessageLimits);
    assert.deepEqual(
      { ...head },
      {
        method: 'POST',
        target: '/x',
        host: 'b',
        framing: 'none',
        contentLength: 0,
        isKeepAlive: false,
        upgrade: 'websocket',
        forwardedFor: '1.2.3.4',
        forwardedProto: 'https',
        forwardedHost: 'c',
        forwarded: 'for=d',
        traceparent: 't',
        requestId: 'r',
        fields: 'Expect: 100-continue\r\nA: b\r\n',
      },
    );
    readRequestHead('GET / HTTP/1.1\r\nHost: a\r\n\r\n', head, defaultMessageLimits);
    const plain = { method: 'GET', target: '/', host: 'a', framing: 'none', contentLength: 0, fields: '' };
    const none = { upgrade: '', forwardedFor: '', forwardedProto: '', forwardedHost: '', forwarded: '' };
    assert.deepEqual({ ...head }, { ...plain, ...none, isKeepAlive: true, traceparent: '', requestId: '' });
  });

  it('keeps fields whose names only look like those that the gateway reads', () => {
    const names = [
      ...[
        'Cookie',
        'Charset-ab',
        'Connection-Id',
        'Content-Length-Of',
        'Content-Kength',
        'ETag',
        'Expect-Ct',
        'Expecd',
      ],
      ...['From', 'Forwardet', 'Forwarded-By', 'H', 'Hosu', 'Http2-Setting', 'Http2-Settings-A', 'Keep-Alivf', 'Kite'],
      ...['Knative-Serving-Tag', 'Knative', 'Pragma', 'Proxy-Connectioo', 'Proxy-Authorizatioo', 'Tf', 'Trailer'],
      ...['Transfer-Encodinh', 'Tracestate', 'Traceparenu', 'User-Agent', 'Upgradf', 'X-Forwarded-Fos', 'X-Forwarded'],
      ...['X-Forwarded-Protp', 'X-Forwarded-Hosu', 'X-Request-Ie', 'Accept', 'Z'],
    ];
    const fields = names.map((name) => `${name}: 1\r\n`).join('');
    const head = read(fields);
    assert.equal(head.fields, fields);
    assert.deepEqual(head, Object.assign(read(''), { fields }));
  });

  const dropped = [
    ...['Connection: x', 'Forwarded: for=b', 'Http2-Settings: x', 'Keep-Alive: timeout=1', 'Knative-Serving-: x'],
    ...[
      'Knative-Serving-Revision: x',
      'Proxy-Connection: x',
      'Proxy-Authorization: x',
      'Traceparent: x',
      'TE: trailers',
    ],
    ...['Upgrade: x', 'X-Forwarded-For: b', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: b', 'X-Request-Id: x'],
    ...['Content-Length: 1', 'Transfer-Encoding: chunked'],
  ];
  for (const field of dropped) {
    it(`does not pass on ${field}`, () => {
      assert.equal(read(`A: 1\r\n${field}\r\nB: 2\r\n`).fields, 'A: 1\r\nB: 2\r\n');
      assert.equal(read(`${field.toUpperCase()}\r\n`.replace('CHUNKED', 'chunked')).fields, '');
    });
  }

  const earlierHops: [
    name: string,
    field: 'forwarded' | 'forwardedFor' | 'forwardedProto' | 'forwardedHost',
    good: string,
  ][] = [
    ['Forwarded', 'forwarded', 'for=b'],
    ['X-Forwarded-For', 'forwardedFor', '1.2.3.4'],
    ['X-Forwarded-Proto', 'forwardedProto', 'https'],
    ['X-Forwarded-Host', 'forwardedHost', 'b:80'],
  ];
  for (const [name, field, good] of earlierHops) {
    const said = (...values: string[]) => read(values.map((value) => `${name}: ${value}\r\n`).join(''))[field];
    it(`passes on ${name} as one list, and nothing of it when a line is broken`, () => {
      assert.equal(said(good), good);
      assert.equal(said(good, good), `${good}, ${good}`);
      assert.equal(said(good, '', good), `${good}, ${good}`);
      assert.equal(said(''), '');
      assert.equal(said('"'), '');
      assert.equal(said(good, '"'), '');
      assert.equal(said('"', good), '');
      assert.equal(said('"', '', good), '');
    });
  }

  it('takes two Traceparents for none that can be followed', () => {
    assert.equal(read('Traceparent: a\r\n').traceparent, 'a');
    assert.equal(read('Traceparent: a\r\nTraceparent: a\r\n').traceparent, 'ambiguous');
  });

  const upgrades: [fields: string, method: string, upgrade: string][] = [
    ['Connection: Upgrade\r\nUpgrade: websocket\r\n', 'GET', 'websocket'],
    ['Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n', 'GET', 'a, b'],
    ['Upgrade: websocket\r\n', 'GET', ''],
    ['Connection: close\r\nUpgrade: websocket\r\n', 'GET', ''],
    ['Connection: Upgrade\r\n', 'GET', ''],
    ['Connection: Upgrade\r\nUpgrade: h2c\r\n', 'GET', ''],
    ['Connection: Upgrade\r\nUpgrade: websocket, H2C\r\n', 'GET', ''],
    ['Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n', 'POST', ''],
    ['Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n', 'POST', ''],
  ];
  for (const [fields, method, upgrade] of upgrades) {
    it(`${upgrade === '' ? 'switches to nothing' : `may switch to ${upgrade}`} for ${JSON.stringify(fields)}`, () => {
      const head = read(fields, method);
      assert.deepEqual([head.upgrade, head.isKeepAlive], [upgrade, !fields.includes('close')]);
    });
  }

  it('keeps Expect though Connection names it', () => {
    const fields = 'Connection: expect, b\r\nExpect: 100-Continue\r\nB: c\r\n';
    assert.equal(read(fields).fields, 'Expect: 100-Continue\r\n');
  });

  it('has a body of one byte', () => {
    const { framing, contentLength } = read('Content-Length: 1\r\n', 'POST');
    assert.deepEqual([framing, contentLength], ['length', 1]);
  });

  it('names the host of an absolute target, whatever Host says', () => {
    const head = new RequestHead();
    readRequestHead('GET http://b:1/ HTTP/1.1\r\nHost: a\r\n\r\n', head, defaultMessageLimits);
    assert.equal(head.host, 'b:1');
  });

  it('has a method of 1 to 32 characters', () => {
    assert.equal(read('', 'A').method, 'A');
    assert.equal(read('', 'A'.repeat(32)).method, 'A'.repeat(32));
    refused(`${'A'.repeat(33)} / HTTP/1.1\r\nHost: a\r\n\r\n`, { status: 400, message: /begin with a method/ });
  });

  it('has a target of up to 16384 bytes', () => {
    const text = (bytes: number) => `GET /${'a'.repeat(bytes - 1)} HTTP/1.1\r\nHost: a\r\n\r\n`;
    const head = new RequestHead();
    readRequestHead(text(16_384), head, defaultMessageLimits);
    assert.equal(head.target.length, 16_384);
    refused(text(16_385), { status: 414, message: 'the request target is longer than 16384 bytes' });
  });

  it('is quoted up to 80 characters, and without what could break a line', () => {
    const why = (host: string, shown: string) =>
      refused(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`, {
        status: 400,
        message: `the Host header field does not name a valid host: "${shown}"`,
      });
    why(`/${'a'.repeat(79)}`, `/${'a'.repeat(79)}`);
    why(`/${'a'.repeat(80)}`, `/${'a'.repeat(79)}…`);
    why('\xe9\x9b', '??');
  });

  it('says how long its body is, or that only its end will tell', () => {
    const bodyBytes = (fields: string) => {
      const head = new RequestHead();
      readRequestHead(`POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`, head, defaultMessageLimits);
      return head.bodyBytes;
    };
    const known = ['', 'Content-Length: 0\r\n', 'Content-Length: 7\r\n', 'Transfer-Encoding: chunked\r\n'];
    assert.deepEqual(known.map(bodyBytes), [0, 0, 7, -1]);
  });
});
