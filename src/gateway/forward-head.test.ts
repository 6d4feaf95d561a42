import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VirtualClock } from '../lib/virtual-clock.ts';
import { forwardHead, peerOf } from './forward-head.ts';
import { fieldValue } from './http1/fields.ts';
import { defaultMessageLimits } from './http1/limits.ts';
import { RequestHead, readRequestHead } from './http1/request-head.ts';
import { Router } from './router.ts';
import { snapshotOf } from './testing/fixture.ts';

function forwarded(fields: string, remoteAddress = '127.0.0.1', appendHeaders: Record<string, string> = {}) {
  const router = new Router({ clock: new VirtualClock(), queueMax: 1, onDemand() {} });
  const snapshot = snapshotOf([80]);
  const splits = [{ percent: 100, revision: 'default/hello-00001', appendHeaders }];
  router.swap({ ...snapshot, hosts: new Map([['a', [{ prefix: '/', headers: [], splits }]]]) });
  const [route] = router.routesOf('a') ?? [];
  const [split] = route?.splits ?? [];
  assert.ok(route !== undefined && split !== undefined);
  const head = new RequestHead();
  readRequestHead(`GET / HTTP/1.1\r\nHost: a:80\r\n${fields}\r\n`, head, defaultMessageLimits);
  const text = forwardHead(head, route, split, peerOf(remoteAddress));
  return (name: string) => fieldValue(text.slice(text.indexOf('\n') + 1, -2), name);
}

describe('the head that goes upstream', () => {
  it('appends this hop to what earlier ones said, and keeps the scheme and host that the first one saw', () => {
    const field = forwarded(
      'X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n' +
        'Forwarded: for=1.2.3.4;proto=https\r\n',
    );
    assert.equal(field('x-forwarded-for'), '1.2.3.4, 5.6.7.8, 127.0.0.1');
    assert.equal(field('x-forwarded-proto'), 'https');
    assert.equal(field('x-forwarded-host'), 'b');
    assert.equal(field('forwarded'), 'for=1.2.3.4;proto=https, for=127.0.0.1;host="a:80";proto=http');
  });

  it('writes IPv6 addresses as each header wants them', () => {
    const field = forwarded('', '2001:db8::1');
    assert.equal(field('x-forwarded-for'), '2001:db8::1');
    assert.match(field('forwarded') ?? '', /^for="\[2001:db8::1\]";/);
    assert.equal(forwarded('', '::ffff:10.0.0.1')('x-forwarded-for'), '10.0.0.1');
  });

  it('starts a trace when there is none, or none that is valid, and names the request after it', () => {
    for (const fields of ['', 'traceparent: 00-xyz\r\n', `traceparent: 00-${'0'.repeat(32)}-b7ad6b7169203331-01\r\n`]) {
      const field = forwarded(fields);
      const [, traceId] = /^00-([0-9a-f]{32})-[0-9a-f]{16}-00$/.exec(field('traceparent') ?? '') ?? [];
      assert.notEqual(traceId, undefined);
      assert.equal(field('x-request-id'), traceId);
    }
    assert.equal(forwarded('X-Request-Id: mine\r\n')('x-request-id'), 'mine');
  });

  it("has the split's own header fields in place of the client's", () => {
    const field = forwarded('X-Split: forged\r\nX-Other: 1\r\n', '127.0.0.1', { 'X-Split': 'real' });
    assert.equal(field('x-split'), 'real');
    assert.equal(field('x-other'), '1');
  });
});
