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
          assert.match(head.statusLine, /^\d{3} [^\r\n]*\r\n$/);
          assert.doesNotMatch(head.fields, /(^|[^\r])\n|\r(?!\n)|\r\n\r\n/);
        } catch (error) {
          assert.ok(error instanceof HttpSyntaxError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
