import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VirtualClock } from '../lib/virtual-clock.ts';
import { forwardFields, peerOf } from './forward-fields.ts';
import { fieldValue } from './http1/fields.ts';
import { defaultMessageLimits } from './http1/limits.ts';
import { RequestHead, readRequestHead } from './http1/request-head.ts';
import { Router } from './router.ts';
import { routesOf, targetKey } from './testing/fixture.ts';

function forwarded(...said: Parameters<typeof forwardedText>) {
  const text = forwardedText(...said);
  return (name: string) => fieldValue(text, name);
}

function forwardedText(fields: string, remoteAddress = '127.0.0.1', appendHeaders: Record<string, string> = {}) {
  const router = new Router({ clock: new VirtualClock(), queueMax: 1, onDemand() {} });
  const routes = routesOf([80]);
  const splits = [{ percent: 100, target: targetKey, appendHeaders }];
  router.apply({ ...routes, hosts: new Map([['a', [{ prefix: '/', headers: [], splits }]]]) });
  const [route] = router.routesOf('a') ?? [];
  const [split] = route?.splits ?? [];
  assert.ok(split !== undefined);
  const head = new RequestHead();
  readRequestHead(`GET / HTTP/1.1\r\nHost: a:80\r\n${fields}\r\n`, head, defaultMessageLimits);
  return forwardFields(head, split, peerOf(remoteAddress));
}

describe('the fields that go upstream', () => {
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

  const brokenForwarded = [
    'for="1.2.3.4',
    'for="a\\"',
    'for=',
    '=1.2.3.4',
    'for',
    'for=[::1]',
    'for=1.2.3.4:80',
    'for="a"b',
    'for=a by=b',
    'for=a,b',
  ];
  for (const broken of brokenForwarded) {
    it(`drops the client's Forwarded ${broken}, which would swallow or distort this hop`, () => {
      const hop = 'for=127.0.0.1;host="a:80";proto=http';
      assert.equal(forwarded(`Forwarded: ${broken}\r\n`)('forwarded'), hop);
      assert.equal(forwarded(`Forwarded: for=1.2.3.4\r\nForwarded: ${broken}\r\n`)('forwarded'), hop);
    });
  }

  it('drops two Forwarded that only make sense together: a reader may take them one by one', () => {
    const field = forwarded('Forwarded: for="a\r\nForwarded: b"\r\n');
    assert.equal(field('forwarded'), 'for=127.0.0.1;host="a:80";proto=http');
  });

  const whole = [
    'for=1.2.3.4',
    'for=_hidden;by=unknown',
    'For="[2001:db8::7]:4711" ; proto=https',
    'for="a\\"b,;=c" , for=b',
    'for="\t \x80"',
    ', ;for=a;',
  ];
  for (const value of whole) {
    it(`keeps the client's Forwarded ${JSON.stringify(value)}`, () => {
      assert.ok(forwarded(`Forwarded: ${value}\r\n`)('forwarded')?.startsWith(`${value}, for=127.0.0.1;`));
    });
  }

  const brokenAddresses = ['evil", "x', '1.2.3.4; DROP', '<script>', '1.2.3.4,,"', 'a b'];
  for (const broken of brokenAddresses) {
    it(`drops the client's X-Forwarded-For ${broken}`, () => {
      assert.equal(forwarded(`X-Forwarded-For: ${broken}\r\n`)('x-forwarded-for'), '127.0.0.1');
      assert.equal(
        forwarded(`X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: ${broken}\r\n`)('x-forwarded-for'),
        '127.0.0.1',
      );
    });
  }

  it('keeps addresses with ports, of both families, and hidden ones', () => {
    const addresses = '1.2.3.4:80, 2001:db8::1, [2001:db8::1]:443, unknown, _secret, fe80::1%eth0';
    assert.equal(forwarded(`X-Forwarded-For: ${addresses}\r\n`)('x-forwarded-for'), `${addresses}, 127.0.0.1`);
  });

  it("drops the client's X-Forwarded-Proto and -Host when they are none", () => {
    for (const proto of ['ht tp', '"https"', 'https://', '1', 'https\t"']) {
      assert.equal(forwarded(`X-Forwarded-Proto: ${proto}\r\n`)('x-forwarded-proto'), 'http');
    }
    for (const host of ['a b', 'a/b', '"a"', 'a:port', 'a@b', '[::1', 'a:99999']) {
      assert.equal(forwarded(`X-Forwarded-Host: ${host}\r\n`)('x-forwarded-host'), 'a:80');
    }
    assert.equal(forwarded('X-Forwarded-Proto: https, http\r\n')('x-forwarded-proto'), 'https, http');
    assert.equal(forwarded('X-Forwarded-Host: b:1, [::1]:2\r\n')('x-forwarded-host'), 'b:1, [::1]:2');
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

  it("has the split's own header fields in place of the gateway's, too: each stands once", () => {
    const names = ['X-Request-Id', 'traceparent', 'X-Forwarded-Proto', 'Forwarded', 'Knative-Serving-Tag'];
    const appended = Object.fromEntries(names.map((name) => [name, 'the split’s']));
    const fields = forwardedText('X-Request-Id: mine\r\nKnative-Serving-Tag: forged\r\n', '127.0.0.1', appended);
    for (const name of names) {
      const lines = fields.split('\r\n').filter((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`));
      assert.deepEqual(lines, [`${name}: the split’s`]);
    }
  });
});
