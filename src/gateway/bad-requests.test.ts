import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  exchange,
  host,
  type Origin,
  RawClient,
  requestText,
  snapshotOf,
  startReplyOrigin,
  startTestGateway,
  statusOf,
  type TestGateway,
} from './testing/fixture.ts';

const hostLine = `Host: ${host}\r\n`;

const refused: [name: string, bytes: string, status: number, body: RegExp][] = [
  ['no method', ` / HTTP/1.1\r\n${hostLine}\r\n`, 400, /begin with a method/],
  ['a method with a slash', `G/T / HTTP/1.1\r\n${hostLine}\r\n`, 400, /begin with a method/],
  ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n', 400, /begin with a method/],
  ['two spaces before the target', `GET  / HTTP/1.1\r\n${hostLine}\r\n`, 400, /target is empty/],
  ['a tab before the version', `GET /\tHTTP/1.1\r\n${hostLine}\r\n`, 400, /percent-encoded/],
  ['a raw non-ASCII target', `GET /\xe9 HTTP/1.1\r\n${hostLine}\r\n`, 400, /percent-encoded/],
  ['a fragment in the target', `GET /a#b HTTP/1.1\r\n${hostLine}\r\n`, 400, /percent-encoded/],
  ['a target that is no path', `GET a/b HTTP/1.1\r\n${hostLine}\r\n`, 400, /neither a path nor/],
  ['another scheme', `GET ftp://a/ HTTP/1.1\r\n${hostLine}\r\n`, 400, /neither a path nor/],
  ['user info in the target', `GET http://me@${host}/ HTTP/1.1\r\n${hostLine}\r\n`, 400, /valid host/],
  ['* for GET', `GET * HTTP/1.1\r\n${hostLine}\r\n`, 400, /OPTIONS only/],
  ['CONNECT', `CONNECT ${host}:80 HTTP/1.1\r\n${hostLine}\r\n`, 501, /CONNECT is not supported/],
  ['HTTP/1.0', `GET / HTTP/1.0\r\n${hostLine}\r\n`, 505, /HTTP\/1\.0 is not supported/],
  ['HTTP/2.0 in clear text', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505, /HTTP\/2\.0 is not supported/],
  ['an unknown version', `GET / HTTP/9.9\r\n${hostLine}\r\n`, 505, /HTTP\/9\.9 is not supported/],
  ['HTTP/0.9', 'GET /\r\n\r\n', 400, /percent-encoded/],
  ['a lower-case version', `GET / http/1.1\r\n${hostLine}\r\n`, 400, /HTTP version/],
  ['bare LF', `GET / HTTP/1.1\n${hostLine}\n`, 400, /LF without CR/],
  ['bare LF after a field', `GET / HTTP/1.1\r\nHost: ${host}\n\r\n`, 400, /LF without CR/],
  ['bare LF at the end', `GET / HTTP/1.1\r\n${hostLine}\n`, 400, /LF without CR/],
  ['bare CR in a value', `GET / HTTP/1.1\r\n${hostLine}A: b\rc\r\n\r\n`, 400, /value of the header field A/],
  ['NUL in a value', `GET / HTTP/1.1\r\n${hostLine}A: b\0c\r\n\r\n`, 400, /value of the header field A/],
  ['DEL in a value', `GET / HTTP/1.1\r\n${hostLine}A: b\x7fc\r\n\r\n`, 400, /value of the header field A/],
  ['obs-fold', `GET / HTTP/1.1\r\n${hostLine}A: b\r\n c\r\n\r\n`, 400, /folded/],
  ['a fold with a tab', `GET / HTTP/1.1\r\n${hostLine}A: b\r\n\tc\r\n\r\n`, 400, /folded/],
  ['whitespace before the first field', `GET / HTTP/1.1\r\n ${hostLine}\r\n`, 400, /folded/],
  ['whitespace before the colon', `GET / HTTP/1.1\r\nHost : ${host}\r\n\r\n`, 400, /whitespace between .* Host/],
  ['an empty field name', `GET / HTTP/1.1\r\n${hostLine}: b\r\n\r\n`, 400, /no name/],
  ['a line without a colon', `GET / HTTP/1.1\r\n${hostLine}abc\r\n\r\n`, 400, /no colon/],
  ['a bad character in a name', `GET / HTTP/1.1\r\n${hostLine}A(: b\r\n\r\n`, 400, /field name has a character/],
  ['a non-ASCII name', `GET / HTTP/1.1\r\n${hostLine}\xc3: b\r\n\r\n`, 400, /field name has a character/],
  ['no Host', 'GET / HTTP/1.1\r\nA: b\r\n\r\n', 400, /no Host/],
  ['no fields', 'GET / HTTP/1.1\r\n\r\n', 400, /no Host/],
  ['two Hosts', `GET / HTTP/1.1\r\n${hostLine}${hostLine}\r\n`, 400, /more than one Host/],
  ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', 400, /valid host/],
  ['a Host with a path', `GET / HTTP/1.1\r\nHost: ${host}/a\r\n\r\n`, 400, /valid host/],
  ['a Host that is a list', `GET / HTTP/1.1\r\nHost: ${host}, b\r\n\r\n`, 400, /valid host/],
  ['a Host with a bad port', `GET / HTTP/1.1\r\nHost: ${host}:x\r\n\r\n`, 400, /valid host/],
  ['a Host with too high a port', `GET / HTTP/1.1\r\nHost: ${host}:70000\r\n\r\n`, 400, /valid host/],
  ['a Host with a broken IPv6 address', 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n', 400, /valid host/],
  ['differing Content-Lengths', post('Content-Length: 3\r\nContent-Length: 4\r\n'), 400, /and they differ/],
  ['a list of Content-Lengths', post('Content-Length: 3, 3\r\n'), 400, /not a number/],
  ['a signed Content-Length', post('Content-Length: +3\r\n'), 400, /not a number/],
  ['a negative Content-Length', post('Content-Length: -3\r\n'), 400, /not a number/],
  ['a hexadecimal Content-Length', post('Content-Length: 0x3\r\n'), 400, /not a number/],
  ['an empty Content-Length', post('Content-Length:\r\n'), 400, /not a number/],
  ['an endless Content-Length', post(`Content-Length: ${'9'.repeat(20)}\r\n`), 400, /not a number/],
  ['both framings', post('Content-Length: 3\r\nTransfer-Encoding: chunked\r\n'), 400, /both Transfer-Encoding/],
  ['both framings, turned', post('Transfer-Encoding: chunked\r\nContent-Length: 3\r\n'), 400, /both Transfer-Encoding/],
  ['another coding', post('Transfer-Encoding: gzip\r\n'), 501, /"gzip" is not supported/],
  ['a coding before chunked', post('Transfer-Encoding: gzip, chunked\r\n'), 501, /is not supported/],
  ['chunked twice', post('Transfer-Encoding: chunked, chunked\r\n'), 501, /is not supported/],
  ['chunked on two lines', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n'), 501, /is not supported/],
  ['a disguised chunked', post('Transfer-Encoding: \x0bchunked\r\n'), 400, /Transfer-Encoding has a control/],
  ['identity', post('Transfer-Encoding: identity\r\n'), 501, /is not supported/],
  ['another expectation', post('Content-Length: 3\r\nExpect: 200-ok\r\n'), 417, /100-continue/],
  ['a chunk size that is none', chunked('xyz\r\n'), 400, /hexadecimal/],
  ['a chunk size with a sign', chunked('+3\r\nabc\r\n0\r\n\r\n'), 400, /hexadecimal/],
  ['a chunk size with 0x', chunked('0x3\r\nabc\r\n0\r\n\r\n'), 400, /hexadecimal/],
  ['a chunk size after a blank', chunked(' 3\r\nabc\r\n0\r\n\r\n'), 400, /hexadecimal/],
  ['a chunk size before a blank', chunked('3 \r\nabc\r\n0\r\n\r\n'), 400, /hexadecimal/],
  ['an empty chunk size', chunked('\r\nabc\r\n0\r\n\r\n'), 400, /hexadecimal/],
  ['an endless chunk size', chunked(`${'0'.repeat(20)}3\r\nabc\r\n0\r\n\r\n`), 400, /too long/],
  ['a chunk size that ends in LF', chunked('3\nabc\r\n0\r\n\r\n'), 400, /hexadecimal/],
  ['a chunk longer than it says', chunked('3\r\nabcd\r\n0\r\n\r\n'), 400, /longer than its size/],
  ['a chunk that ends in LF', chunked('3\r\nabc\n0\r\n\r\n'), 400, /longer than its size/],
  ['a chunk that ends in CR', chunked('3\r\nabc\rx0\r\n\r\n'), 400, /end in CRLF/],
  ['a control character in an extension', chunked('3;a=\0\r\nabc\r\n0\r\n\r\n'), 400, /extension has a control/],
  ['LF in an extension', chunked('3;a\nabc\r\n0\r\n\r\n'), 400, /extension has a control/],
  ['an endless extension', chunked(`3;${'a'.repeat(5000)}\r\n`), 400, /extension is too long/],
  ['a bad trailer', chunked('0\r\nA : b\r\n\r\n'), 400, /whitespace between/],
  ['bare LF in trailers', chunked('0\r\nA: b\n\r\n'), 400, /LF without CR/],
  ['endless trailers', chunked(`0\r\nA: ${'b'.repeat(17_000)}`), 431, /trailer section is longer/],
  ['too long a target', `GET /${'a'.repeat(17_000)} HTTP/1.1\r\n${hostLine}\r\n`, 414, /longer than 16384/],
  ['a target without an end', `GET /${'a'.repeat(70_000)}`, 414, /longer than 16384/],
  [
    'too long a field',
    `GET / HTTP/1.1\r\n${hostLine}A: ${'b'.repeat(66_000)}\r\n\r\n`,
    431,
    /head is longer than 65536/,
  ],
  ['a head without an end', `GET / HTTP/1.1\r\n${hostLine}${'A: b\r\n'.repeat(12_000)}`, 431, /head is longer/],
  ['too many fields', `GET / HTTP/1.1\r\n${hostLine}${'A: b\r\n'.repeat(300)}\r\n`, 431, /more than 256/],
];

function post(fields: string): string {
  return `POST / HTTP/1.1\r\n${hostLine}${fields}\r\nabc`;
}

function chunked(body: string): string {
  return `POST / HTTP/1.1\r\n${hostLine}Transfer-Encoding: chunked\r\n\r\n${body}`;
}

describe('a request that is not HTTP/1.1 to the letter', () => {
  let origin: Origin;
  let gateway: TestGateway;
  before(async () => {
    // It never answers: whatever comes back is the gateway's own.
    origin = await startReplyOrigin('');
    gateway = await startTestGateway(snapshotOf([origin.port]));
  });
  after(async () => {
    await gateway.stop();
    origin.close();
  });

  for (const [name, bytes, status, body] of refused) {
    it(`is refused with ${status} and the connection closed: ${name}`, async () => {
      const text = await exchange(gateway.port, bytes);
      assert.equal(statusOf(text), status, text);
      assert.match(text, body);
      assert.match(text, /\r\nConnection: close\r\n/);
      assert.equal(text.split('HTTP/1.1 ').length, 2, 'one reply');
    });
  }

  it('does not let what follows it be read as a request', async () => {
    const smuggled = requestText('GET /admin');
    const text = await exchange(gateway.port, post('Content-Length: 3\r\nTransfer-Encoding: chunked\r\n') + smuggled);
    assert.equal(text.split('HTTP/1.1 ').length, 2, text);
  });

  it('is refused before its head is complete, when the fault is plain', async () => {
    const client = new RawClient(gateway.port).send('GET / HTTP/1.1\n');
    assert.equal(statusOf(await client.ended()), 400);
  });

  it('is answered 408 when its head does not arrive in time', async () => {
    const slow = await startTestGateway(snapshotOf([origin.port]), { limits: { headTimeoutMs: 150 } });
    const text = await exchange(slow.port, 'GET / HTTP/1.1\r\nHost');
    assert.equal(statusOf(text), 408);
    await slow.stop();
  });
});
