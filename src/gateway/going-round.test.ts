import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { closing, routesOf, startReplyOrigin, startTestGateway, statusOf } from './testing/fixture.ts';

describe('a request that goes round', () => {
  it('is ended where its route leads back to the gateway, whoever sent it', async (t) => {
    const gateway = await startTestGateway(t, routesOf([]));
    gateway.publish(routesOf([gateway.port]));
    const text = await gateway.request('GET /', closing).ended();
    assert.equal(statusOf(text), 508);
    assert.match(text, /the route of host ".*" leads back to itself/);
    assert.equal(statusOf(await gateway.request('POST /', `Content-Length: 0\r\n${closing}`).ended()), 508);
  });

  it('is told by its proxies: a hundred are a long way', async (t) => {
    const origin = await startReplyOrigin(t);
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const through = async (proxies: number) => {
      const more = `X-Forwarded-For: ${Array(proxies).fill('::1').join(',')}\r\n${closing}`;
      return statusOf(await gateway.request('GET /', more).ended());
    };
    assert.deepEqual([await through(99), await through(100), await through(101)], [200, 200, 508]);
    assert.equal(origin.heads.length, 2);
  });
});
