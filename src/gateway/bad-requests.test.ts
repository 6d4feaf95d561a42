import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { badRequests, withBody } from './http1/testing/bad-requests.ts';
import {
  exchange,
  host,
  type Origin,
  requestText,
  routesOf,
  startReplyOrigin,
  startTestGateway,
  statusOf,
  type TestGateway,
} from './testing/fixture.ts';

describe('a request that is not HTTP/1.1 to the letter', () => {
  let origin: Origin;
  let gateway: TestGateway;
  before(async () => {
    // It never answers: whatever comes back is the gateway's own.
    origin = await startReplyOrigin(undefined, '');
    gateway = await startTestGateway(undefined, routesOf([origin.port]));
  });
  after(async () => {
    await gateway.stop();
    origin.close();
  });

  for (const [name, bytes, status, body] of badRequests(host)) {
    it(`is refused with ${status} and the connection closed: ${name}`, async () => {
      const text = await exchange(gateway.port, bytes);
      assert.equal(statusOf(text), status, text);
      assert.match(text, body);
      assert.match(text, /\r\nConnection: close\r\n/);
      assert.equal(text.split('HTTP/1.1 ').length, 2, 'one reply');
    });
  }

  it('does not let what follows it be read as a request', async () => {
    const both = withBody(host, 'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n');
    const smuggled = requestText('GET /admin');
    const text = await exchange(gateway.port, both + smuggled);
    assert.equal(text.split('HTTP/1.1 ').length, 2, text);
  });

  it('is refused before its head is complete, when the fault is plain', async () => {
    const client = gateway.connect().send('GET / HTTP/1.1\n');
    assert.equal(statusOf(await client.ended()), 400);
  });

  it('is answered 408 when its head does not arrive in time', async (t) => {
    const slow = await startTestGateway(t, routesOf([origin.port]), { limits: { headTimeoutMs: 150 } });
    const text = await exchange(slow.port, 'GET / HTTP/1.1\r\nHost');
    assert.equal(statusOf(text), 408);
  });
});
