import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ChunkedReader } from './chunked.ts';
import { defaultMessageLimits } from './limits.ts';
import { RequestHead, readRequestHead } from './request-head.ts';
import { badRequests } from './testing/bad-requests.ts';

/** Reads a request as its connection does once the empty line is there, the body in pieces of `size` bytes. */
function read(text: string, size: number): void {
  const end = text.indexOf('\r\n\r\n') + 4;
  const head = new RequestHead();
  readRequestHead(text.slice(0, end), head, defaultMessageLimits);
  if (head.framing !== 'chunked') return;
  const reader = new ChunkedReader();
  const sink = { onChunked() {}, onChunkedEnd() {} };
  for (let at = end; at < text.length && !reader.isDone; at += size) {
    const piece = Buffer.from(text.slice(at, at + size), 'latin1');
    reader.read(piece, 0, sink, defaultMessageLimits);
  }
}

describe('the parser alone', () => {
  for (const [name, text, status, message] of badRequests('a.localhost')) {
    // The connection looks for the head's end, and refuses what has none: too long a head, lines that end in LF.
    if (!/^(?:[^\n]+\r\n)+\r\n/.test(text) || message.source.includes('head is longer')) continue;
    for (const size of [1, text.length]) {
      it(`refuses ${name}${size === 1 ? ', byte by byte' : ''}`, () => {
        assert.throws(() => read(text, size), { name: 'HttpSyntaxError', status, message });
      });
    }
  }
});
