import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { fieldValue } from './fields.ts';
import { defaultMessageLimits } from './limits.ts';
import { RequestHead, readRequestHead } from './request-head.ts';
import { HttpSyntaxError } from './syntax.ts';

function read(text: string): RequestHead {
  const head = new RequestHead();
  readRequestHead(text, head, defaultMessageLimits);
  return head;
}

const characters = (text: string) => fc.constantFrom(...text);
const tokenText = "abcXYZ019!#$%&'*+-.^_`|~";
const token = fc.string({ unit: characters(tokenText), minLength: 1, maxLength: 12 });
const target = fc
  .string({ unit: characters("abcXYZ019-._~!$&'()*+,;=:@/?%20"), maxLength: 30 })
  .map((rest) => `/${rest}`);
const value = fc
  .string({ unit: characters('abc XYZ\t019"(),/:;<=>?@[]{}\xe9\xff'), maxLength: 20 })
  .map((text) => text.replace(/^[ \t]+|[ \t]+$/g, ''));
const blank = fc.string({ unit: characters(' \t'), maxLength: 3 });
/** Names that mean nothing to either parser. */
const field = fc.record({ name: token.map((name) => `x-${name}`), value, before: blank, after: blank });
const method = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'PROPFIND');
const request = fc.record({ method, target, fields: fc.array(field, { maxLength: 8 }) });

describe('the request head parser', () => {
  it("reads every valid head as Node's parser does", async () => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await fc.assert(
      fc.asyncProperty(request, async ({ method, target, fields }) => {
        const lines = fields.map(({ name, value, before, after }) => `${name}:${before}${value}${after}\r\n`).join('');
        const text = `${method} ${target} HTTP/1.1\r\nHost: a\r\n${lines}\r\n`;
        const socket = connect(port, '127.0.0.1').on('error', () => {});
        const seen = once(server, 'request') as Promise<[IncomingMessage]>;
        socket.write(text, 'latin1');
        const [theirs] = await seen;
        socket.destroy();
        const ours = read(text);
        assert.equal(ours.method, theirs.method);
        assert.equal(ours.target, theirs.url);
        const raw = theirs.rawHeaders.slice(2);
        const read_ = ours.fields
          .split('\r\n')
          .slice(0, -1)
          .flatMap((line) => {
            const colon = line.indexOf(':');
            return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')];
          });
        assert.deepEqual(read_, raw);
      }),
      { numRuns: 200 },
    );
    server.closeAllConnections();
    server.close();
  });

  it('gives a head or an HttpSyntaxError for any bytes, never another error', () => {
    const piece = fc.oneof(
      fc.string({ unit: characters('GET /\r\n:HTP1.0 \t\0ab\xff'), maxLength: 6 }),
      fc.constantFrom('GET / HTTP/1.1\r\n', 'Host: a\r\n', 'Content-Length: 3\r\n', 'Transfer-Encoding: chunked\r\n'),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        try {
          const head = read(`${pieces.join('')}\r\n\r\n`);
          assert.ok(head.host !== '' && !/[\r\n]/.test(head.host + head.method + head.target));
          assert.doesNotMatch(head.fields, /(^|[^\r])\n|\r(?!\n)|\r\n\r\n/);
        } catch (error) {
          assert.ok(error instanceof HttpSyntaxError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('starts anew with each request of a connection', () => {
    const head = new RequestHead();
    const first =
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n' +
      'X-Request-Id: 1\r\nExpect: 100-continue\r\n\r\n';
    readRequestHead(first, head, defaultMessageLimits);
    assert.deepEqual([head.framing, head.contentLength, head.isKeepAlive, head.requestId], ['length', 3, false, '1']);
    readRequestHead('GET / HTTP/1.1\r\nHost: b\r\n\r\n', head, defaultMessageLimits);
    const fresh = read('GET / HTTP/1.1\r\nHost: b\r\n\r\n');
    assert.deepEqual(head, fresh);
  });

  const framings: [fields: string, framing: string, length: number][] = [
    ['', 'none', 0],
    ['Content-Length: 0\r\n', 'none', 0],
    ['Content-Length: 12\r\n', 'length', 12],
    ['Content-Length: 12\r\ncontent-length: 12\r\n', 'length', 12],
    ['Content-Length:\t9007199254740991 \r\n', 'length', 9007199254740991],
    ['Transfer-Encoding: Chunked\r\n', 'chunked', 0],
  ];
  for (const [fields, framing, length] of framings) {
    it(`frames the body as ${framing} by ${JSON.stringify(fields)}`, () => {
      const head = read(`POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
      assert.deepEqual([head.framing, head.contentLength], [framing, length]);
    });
  }

  it('refuses a length that is not exact as a number', () => {
    assert.throws(
      () => read('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9007199254740993\r\n\r\n'),
      HttpSyntaxError,
    );
  });

  const empties: [name: string, fields: string][] = [
    ['alone', 'Transfer-Encoding:\r\n'],
    ['beside a Content-Length', 'Transfer-Encoding:\r\nContent-Length: 3\r\n'],
    ['behind a Content-Length', 'Content-Length: 3\r\nTransfer-Encoding: \t\r\n'],
    ['before a chunked one', 'Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n'],
    ['behind a chunked one', 'Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n'],
  ];
  for (const [name, fields] of empties) {
    it(`refuses an empty Transfer-Encoding ${name}`, () => {
      assert.throws(() => read(`POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`), HttpSyntaxError);
    });
  }

  it('drops what Connection names, whatever stands first', () => {
    const head = read('GET / HTTP/1.1\r\nA: 1\r\nConnection: b, A\r\nHost: a\r\nB: 2\r\nC: 3\r\n\r\n');
    assert.equal(head.fields, 'C: 3\r\n');
  });

  it('does not let Connection remove what frames or routes', () => {
    const head = read('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: content-length, host\r\n\r\n');
    assert.equal(fieldValue(head.fields, 'content-length'), '0');
    assert.equal(head.host, 'a');
  });

  const hosts = ['a', 'A.B-c_d.localhost', 'a:8080', 'a:', '127.0.0.1:1', '[::1]', '[2001:db8::7]:443'];
  for (const host of hosts) {
    it(`accepts the host ${host}`, () => assert.equal(read(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`).host, host));
  }

  const targets: [target: string, sent: string][] = [
    ['http://b/x?y', '/x?y'],
    ['HTTPS://b', '/'],
    ['http://b?y', '/?y'],
    ['/http://b/', '/http://b/'],
    ['//b/x', '//b/x'],
  ];
  for (const [asked, sent] of targets) {
    it(`sends ${asked} as ${sent}`, () => assert.equal(read(`GET ${asked} HTTP/1.1\r\nHost: b\r\n\r\n`).target, sent));
  }
  it('sends OPTIONS of a whole server as *', () => {
    assert.equal(read('OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n').target, '*');
    assert.equal(read('OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n').target, '*');
  });
});
