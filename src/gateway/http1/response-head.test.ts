import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { defaultMessageLimits } from './limits.ts';
import { ResponseHead, readResponseHead } from './response-head.ts';
import { HttpSyntaxError } from './syntax.ts';

function read(text: string, method = 'GET'): ResponseHead {
  const head = new ResponseHead();
  readResponseHead(text, method, head, defaultMessageLimits);
  return head;
}

describe('the response head parser', () => {
  const framings: [method: string, head: string, framing: string, isKeepAlive: boolean][] = [
    ['GET', '200 OK\r\nContent-Length: 3', 'length', true],
    ['GET', '200 OK\r\nContent-Length: 0', 'none', true],
    ['GET', '200 OK\r\nTransfer-Encoding: chunked', 'chunked', true],
    ['GET', '200 OK\r\nA: b', 'close', false],
    ['GET', '200 OK\r\nContent-Length: 3\r\nConnection: close', 'length', false],
    ['HEAD', '200 OK\r\nContent-Length: 3', 'none', true],
    ['HEAD', '200 OK\r\nTransfer-Encoding: chunked', 'none', true],
    ['GET', '204 No Content\r\nA: b', 'none', true],
    ['GET', '204 No Content\r\nContent-Length: 3', 'none', false],
    ['GET', '204 No Content\r\nTransfer-Encoding: chunked', 'none', false],
    ['GET', '304 Not Modified\r\nContent-Length: 3', 'none', true],
    ['GET', '103 Early Hints\r\nA: b', 'none', true],
  ];
  for (const [method, head, framing, isKeepAlive] of framings) {
    it(`frames the body of ${JSON.stringify(head)} to ${method} as ${framing}`, () => {
      const read_ = read(`HTTP/1.1 ${head}\r\n\r\n`, method);
      assert.deepEqual([read_.framing, read_.isKeepAlive], [framing, isKeepAlive]);
    });
  }

  it('passes on all but what concerns one hop', () => {
    const fields =
      'A: b\r\nConnection: keep-alive, C\r\nC: d\r\nKeep-Alive: timeout=7, max=3\r\nUpgrade: h2c\r\nDate: e\r\n';
    const head = read(`HTTP/1.1 200 OK\r\n${fields}Content-Length: 1\r\nContent-Length: 1\r\n\r\n`);
    assert.equal(head.fields, 'A: b\r\nDate: e\r\nContent-Length: 1\r\n');
    assert.equal(head.keepAliveSeconds, 7);
    assert.ok(head.hasDate);
  });

  it('keeps fields whose names only look like those that the gateway reads', () => {
    const names = [
      ...['Cookie', 'Charset-ab', 'Connection-Id', 'Content-Kength', 'Content-Length-Of', 'Dav', 'Datf', 'Dates'],
      ...[
        'Keep-Alivf',
        'Kite',
        'Pragma',
        'Proxy-Connectioo',
        'Trailer',
        'Transfer-Encodinh',
        'Upgradf',
        'Unit',
        'Vary',
      ],
    ];
    const fields = names.map((name) => `${name}: 1\r\n`).join('');
    const head = read(`HTTP/1.1 200 OK\r\n${fields}\r\n`);
    assert.deepEqual({ ...head }, { ...read('HTTP/1.1 200 OK\r\n\r\n'), fields });
  });

  for (const field of ['Connection: x', 'Keep-Alive: x', 'Proxy-Connection: x', 'Upgrade: x']) {
    it(`does not pass on ${field}`, () => {
      assert.equal(read(`HTTP/1.1 200 OK\r\nA: 1\r\n${field}\r\nB: 2\r\n\r\n`).fields, 'A: 1\r\nB: 2\r\n');
    });
  }

  it('does not pass on what framed the body in chunks', () => {
    const head = read('HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: Chunked\r\nB: 2\r\n\r\n');
    assert.deepEqual([head.fields, head.framing], ['A: 1\r\nB: 2\r\n', 'chunked']);
  });

  it('does not let Connection remove the length and the date', () => {
    const head = read(
      'HTTP/1.1 200 OK\r\nConnection: date, content-length, B\r\nDate: a\r\nContent-Length: 1\r\nB: c\r\n\r\n',
    );
    assert.equal(head.fields, 'Date: a\r\nContent-Length: 1\r\n');
    assert.equal(head.isKeepAlive, true);
  });

  it('takes a field on several lines for one list', () => {
    const head = read(
      'HTTP/1.1 101 Switching\r\nUpgrade: a\r\nUpgrade: b\r\nConnection: C\r\nConnection: D\r\nC: 1\r\nD: 2\r\n\r\n',
    );
    assert.deepEqual([head.upgrade, head.fields], ['a, b', '']);
  });

  const statusLines: [line: string, status: number, sent: string][] = [
    ['HTTP/1.1 200 OK', 200, '200 OK\r\n'],
    ['HTTP/1.1 299 Odd \t\xe9', 299, '299 Odd \t\xe9\r\n'],
    ['HTTP/1.1 287 ', 287, '287 \r\n'],
    ['HTTP/1.1 999', 999, '999 \r\n'],
    ['HTTP/1.1 100', 100, '100 \r\n'],
    ['HTTP/1.0 404 Not Found', 404, '404 Not Found\r\n'],
  ];
  for (const [line, status, sent] of statusLines) {
    it(`reads ${JSON.stringify(line)}`, () => {
      const head = read(`${line}\r\n\r\n`);
      assert.deepEqual([head.status, `${head.status} ${head.reason}\r\n`], [status, sent]);
    });
  }

  const noStatusLines = [
    ...['HTTP/1.1 099 A', 'HTTP/1.1 :00 A', 'HTTP/1.1 a00 A', 'HTTP/1.1 2/0 A', 'HTTP/1.1 2:0 A', 'HTTP/1.1 20/ A'],
    ...['HTTP/1.1 20: A', 'HTTP/1.1 20', 'HTTP/1.1  200 A', 'HTTP/1.1 2000 A', 'HTTP/1.1 200A', 'HTTP/2.0 200 A'],
    ...['HTTP/1.2 200 A', 'http/1.1 200 A', 'HTTP/1.1 200 A\0', 'HTTP/1.1 200 A\rB', 'HTTP/1.1 200 A\0\n', ''],
  ];
  for (const line of noStatusLines) {
    it(`refuses the status line ${JSON.stringify(line)}`, () => {
      assert.throws(() => read(`${line}\r\n\r\n`), {
        name: 'HttpSyntaxError',
        status: 502,
        message: /the status line/,
      });
    });
  }

  const refused: [head: string, why: RegExp][] = [
    ['1.1 200 OK\r\nContent-Length: x', /Content-Length is not a number/],
    ['1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2', /several Content-Length .* differ/],
    ['1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked', /both Transfer-Encoding and/],
    ['1.1 200 OK\r\nTransfer-Encoding: gzip', /not chunked in HTTP\/1.1/],
    ['1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked', /not chunked in HTTP\/1.1/],
    ['1.0 200 OK\r\nTransfer-Encoding: chunked', /not chunked in HTTP\/1.1/],
  ];
  for (const [head, message] of refused) {
    it(`refuses ${JSON.stringify(head)}`, () => {
      assert.throws(() => read(`HTTP/${head}\r\n\r\n`), { name: 'HttpSyntaxError', status: 502, message });
    });
  }

  const lengths: [head: string, contentLength: number, isKeepAlive: boolean, fields: string][] = [
    ['1.1 200 OK\r\nContent-Length: 3', 3, true, 'Content-Length: 3\r\n'],
    ['1.1 200 OK\r\nTransfer-Encoding: chunked', 0, true, ''],
    ['1.1 200 OK', 0, false, ''],
    ['1.0 200 OK\r\nContent-Length: 3', 3, false, 'Content-Length: 3\r\n'],
    ['1.1 204 No Content\r\nContent-Length: 0', 0, true, ''],
    ['1.1 204 No Content\r\nContent-Length: 1', 1, false, ''],
    ['1.1 103 Early\r\nContent-Length: 1', 1, false, ''],
  ];
  for (const [text, contentLength, isKeepAlive, fields] of lengths) {
    it(`says how long ${JSON.stringify(text)} is, and whether another reply may follow`, () => {
      const head = read(`HTTP/${text}\r\n\r\n`);
      assert.deepEqual([head.contentLength, head.isKeepAlive, head.fields], [contentLength, isKeepAlive, fields]);
    });
  }

  it('says how long the body behind it is, or that only its end will tell', () => {
    const bodyBytes = (fields: string, method = 'GET') => {
      const head = new ResponseHead();
      readResponseHead(`HTTP/1.1 200 OK\r\n${fields}\r\n`, method, head, defaultMessageLimits);
      return head.bodyBytes;
    };
    const known = ['Content-Length: 0\r\n', 'Content-Length: 7\r\n', 'Transfer-Encoding: chunked\r\n', ''];
    assert.deepEqual(
      known.map((fields) => bodyBytes(fields)),
      [0, 7, -1, -1],
    );
    assert.equal(bodyBytes('Content-Length: 7\r\n', 'HEAD'), 0);
  });

  it('says nothing before it is read, and nothing of the reply before', () => {
    const none = { keepAliveSeconds: -1, hasDate: false, upgrade: '', fields: '', framing: 'none', contentLength: 0 };
    assert.deepEqual({ ...new ResponseHead() }, { ...none, status: 0, reason: '', isKeepAlive: true });
    const head = new ResponseHead();
    const full =
      'HTTP/1.0 200 OK\r\nKeep-Alive: max=1, timeout=5\r\nDate: a\r\nUpgrade: b\r\nContent-Length: 3\r\n\r\n';
    for (const [method, next] of [
      ['GET', '204 No Content'],
      ['HEAD', '200 OK'],
      ['GET', '304 Not Modified'],
    ] as const) {
      readResponseHead(full, 'GET', head, defaultMessageLimits);
      assert.deepEqual([head.keepAliveSeconds, head.hasDate, head.upgrade, head.framing], [5, true, 'b', 'length']);
      readResponseHead(`HTTP/1.1 ${next}\r\n\r\n`, method, head, defaultMessageLimits);
      const status = Number(next.slice(0, 3));
      assert.deepEqual({ ...head }, { ...none, status, reason: next.slice(4), isKeepAlive: true });
    }
    readResponseHead('HTTP/1.1 200 OK\r\nKeep-Alive: max=1\r\n\r\n', 'GET', head, defaultMessageLimits);
    assert.equal(head.keepAliveSeconds, -1);
  });

  it('gives a head or an HttpSyntaxError for any bytes, never another error', () => {
    const piece = fc.oneof(
      fc.string({ unit: fc.constantFrom(...'HTP/1. 20\r\n:\t\0ab\xff'), maxLength: 6 }),
      fc.constantFrom(
        'HTTP/1.1 200 OK\r\n',
        'Content-Length: 3\r\n',
        'Transfer-Encoding: chunked\r\n',
        'Upgrade: x\r\n',
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        try {
          const head = read(`${pieces.join('')}\r\n\r\n`);
          assert.match(`${head.status} ${head.reason}`, /^\d{3} [^\r\n]*$/);
          assert.doesNotMatch(head.fields, /(^|[^\r])\n|\r(?!\n)|\r\n\r\n/);
        } catch (error) {
          assert.ok(error instanceof HttpSyntaxError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
