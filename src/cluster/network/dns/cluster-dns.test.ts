import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { CoreServiceKind } from '../../../api/core/service.ts';
import { EndpointSliceKind } from '../../../api/discovery/endpoint-slice.ts';
import type { Clock } from '../../../lib/clock.ts';
import { systemClock } from '../../../lib/clock.ts';
import { ipv4Block } from '../../../lib/ipv4.ts';
import { until } from '../../../lib/testing/until.ts';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { openApi } from '../../apiserver/testing/open-api.ts';
import { type ClusterDnsOptions, startClusterDns } from './cluster-dns.ts';
import { overTcp, overUdp, questionOf, read } from './testing/client.ts';
import { service, slice } from './testing/cluster.ts';
import { a, testUpstream, upstreamAddress } from './testing/upstream.ts';
import { rcodes } from './wire/constants.ts';

const onLinux = process.platform === 'linux' ? false : 'only Linux has all of 127.0.0.0/8';

const blocks = ['10.96.0.0/16', '10.244.0.0/16'].flatMap((cidr) => ipv4Block(cidr) ?? []);

function resolvConfFile(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'kittiwake-dns-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'resolv.conf');
  writeFileSync(file, text);
  return file;
}

/** The DNS of a cluster on loopback, whose host asks `upstreamPort`. */
async function dns(t: TestContext, upstreamPort: number, more: Partial<ClusterDnsOptions> & { clock?: Clock } = {}) {
  const { api } = await openApi(t);
  const started = await startClusterDns({
    client: api.client,
    address: '127.0.0.1',
    port: 0,
    domain: 'cluster.local',
    serviceAddress: '10.96.0.10',
    blocks,
    resolvConf: resolvConfFile(t, `nameserver ${upstreamAddress}\n`),
    upstreamPort,
    clock: systemClock,
    log: silentLogger,
    ...more,
  });
  t.after(() => started.stop());
  await started.synced;
  const resolver = new Resolver({ timeout: 10_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${started.port}`]);
  return { api, port: started.port, resolver };
}

describe('names of the cluster', () => {
  test('are told to a client as they are in the API now', async (t) => {
    const { api, resolver } = await dns(t, 1);
    const made = await api.client.create(
      CoreServiceKind,
      service('default', 'web', { ports: [{ name: 'http', port: 80 }] }),
    );
    const address = made.spec.clusterIP ?? '';
    const name = 'web.default.svc.cluster.local';
    await until(async () => (await resolver.resolve4(name).catch(() => []))[0] === address);
    const [srv] = await resolver.resolveSrv(`_http._tcp.${name}`);
    assert.deepEqual([srv?.name, srv?.port, srv?.priority, srv?.weight], [name, 80, 0, 100]);
    assert.deepEqual(await resolver.reverse(address), [name]);
    await assert.rejects(resolver.resolve6(name), { code: 'ENODATA' });
    await assert.rejects(resolver.resolve4(`x${name}`), { code: 'ENOTFOUND' });
    assert.equal((await resolver.resolveSoa('cluster.local')).nsname, 'ns.dns.cluster.local');
    await api.client.delete(CoreServiceKind, { namespace: 'default', name: 'web' });
    await until(async () => (await resolver.resolve4(name).catch((error) => error)).code === 'ENOTFOUND');
  });

  test('too many for one packet come over TCP', async (t) => {
    const { api, port, resolver } = await dns(t, 1);
    const spec = { clusterIP: 'None', selector: {} };
    await api.client.create(CoreServiceKind, service('default', 'many', spec));
    const endpoints = Array.from({ length: 300 }, (_, i) => ({ addresses: [`10.244.${i >> 8}.${i & 255}`] }));
    await api.client.create(EndpointSliceKind, slice('default/many', endpoints));
    const name = 'many.default.svc.cluster.local';
    await until(async () => (await resolver.resolve4(name).catch(() => [])).length === 300);
    const cut = await overUdp(port, questionOf(name));
    assert.ok(cut && cut.length <= 512 && (cut.readUInt16BE(2) & 0x0200) !== 0);
    const replies = await overTcp(
      port,
      Array.from({ length: 100 }, (_, i) => questionOf(name, 'A', i)),
    );
    assert.deepEqual(
      replies.map((reply) => reply.readUInt16BE(0)),
      Array.from({ length: 100 }, (_, i) => i),
    );
    assert.ok(replies.every((reply) => read(reply).addresses.length === 300));
  });

  test('are not denied before all of them are known', async (t) => {
    const watch = () => {
      throw new Error('the API is away');
    };
    const started = await startClusterDns({
      client: { watch } as unknown as ClusterDnsOptions['client'],
      address: '127.0.0.1',
      port: 0,
      domain: 'cluster.local',
      serviceAddress: '10.96.0.10',
      blocks,
      resolvConf: '/nowhere',
      clock: systemClock,
      log: silentLogger,
    });
    t.after(() => started.stop());
    const reply = await overUdp(started.port, questionOf('web.default.svc.cluster.local'));
    assert.equal(read(reply).rcode, rcodes.SERVFAIL);
  });
});

describe('other names', { skip: onLinux }, () => {
  test('are answered as the host is, for as long as the answer counts, in the case of the question', async (t) => {
    const clock = new VirtualClock();
    const upstream = await testUpstream(t, (query) => {
      if (query.question.name[0] === 'none') return undefined;
      return { answers: [a(query, '203.0.113.5', 20)] };
    });
    const { port } = await dns(t, upstream.port, { clock });
    const first = await overUdp(port, questionOf('Example.COM'));
    assert.deepEqual([read(first).addresses, read(first).ttls], [['203.0.113.5'], [20]]);
    await clock.advance(12_000);
    const second = await overUdp(port, questionOf('eXample.com', 'A', 4711));
    assert.deepEqual([read(second).addresses, read(second).ttls], [['203.0.113.5'], [8]]);
    assert.equal(second?.readUInt16BE(0), 4711);
    assert.equal(second?.toString('latin1', 13, 20), 'eXample');
    assert.equal(upstream.asked.length, 1);
    await clock.advance(9_000);
    await overUdp(port, questionOf('example.com'));
    assert.equal(upstream.asked.length, 2);
    assert.equal(read(await overUdp(port, questionOf('none.example.com'))).rcode, rcodes.NXDOMAIN);
    const own = questionOf('example.com');
    own.writeUInt16BE(0, 2);
    assert.equal(
      read(await overUdp(port, own)).rcode,
      rcodes.REFUSED,
      'who wants no recursion has come to the wrong one',
    );
  });

  test('that are too many for one packet are asked for over TCP', async (t) => {
    const upstream = await testUpstream(t, () => 'truncated over udp');
    const { port, resolver } = await dns(t, upstream.port);
    assert.equal((await resolver.resolve4('large.example')).length, 100);
    assert.deepEqual(upstream.asked, ['large.example 1 udp', 'large.example 1 tcp'], 'and remembered');
    const cut = await overUdp(port, questionOf('large.example'));
    assert.ok(cut && cut.length <= 512 && (cut.readUInt16BE(2) & 0x0200) !== 0);
  });

  test('that a Service stands for come with the way there', async (t) => {
    const upstream = await testUpstream(t, (query) => {
      const { name } = query.question;
      if (name[0] === 'gone') return undefined;
      const link = { name, ttl: 9, type: 'CNAME' as const, target: ['cdn', 'example'] };
      return { answers: [link, { ...a(query, '203.0.113.9'), name: ['cdn', 'example'] }] };
    });
    const { api, port, resolver } = await dns(t, upstream.port);
    for (const name of ['out', 'gone']) {
      const spec = { type: 'ExternalName' as const, externalName: `${name}.example` };
      await api.client.create(CoreServiceKind, service('default', name, spec));
    }
    const name = 'out.default.svc.cluster.local';
    await until(async () => (await resolver.resolve4(name).catch(() => []))[0] === '203.0.113.9');
    assert.deepEqual(await resolver.resolveCname(name), ['out.example']);
    assert.deepEqual(read(await overUdp(port, questionOf(name))).ttls.slice(0, 2), [5, 9]);
    const gone = await overUdp(port, questionOf('gone.default.svc.cluster.local'));
    assert.equal(read(gone).rcode, rcodes.NXDOMAIN);
  });

  test('fail at once when nobody answers', async (t) => {
    const clock = new VirtualClock();
    const upstream = await testUpstream(t, (query) => ({ answers: [a(query, '203.0.113.5')] }));
    const { port } = await dns(t, upstream.port, { clock });
    await upstream.stop();
    const replies = await Promise.all(
      Array.from({ length: 300 }, (_, i) => overUdp(port, questionOf(`n${i}.example`))),
    );
    assert.ok(replies.every((reply) => read(reply).rcode === rcodes.SERVFAIL));
  });

  test('that somebody swallows fail in time, however many ask, and one question is asked once', async (t) => {
    const clock = new VirtualClock();
    const upstream = await testUpstream(t, () => 'silence');
    const { port } = await dns(t, upstream.port, { clock });
    const asked = Array.from({ length: 50 }, (_, i) => overUdp(port, questionOf('slow.example', 'A', i)));
    const asking = Promise.all(asked);
    await until(() => upstream.asked.length > 0);
    await until(async () => {
      await clock.advance(1_000);
      return (await Promise.race([asking, false])) !== false;
    });
    for (const reply of await asking) assert.equal(read(reply).rcode, rcodes.SERVFAIL);
    assert.equal(upstream.asked.length, 1);
    assert.equal(read(await overUdp(port, questionOf('slow.example'))).rcode, rcodes.SERVFAIL);
    assert.equal(upstream.asked.length, 1, 'that it failed is remembered for a moment');
  });

  test('are asked of the servers that the host names now, and never of this one', async (t) => {
    const clock = new VirtualClock();
    const upstream = await testUpstream(t, (query) => ({ answers: [a(query, '203.0.113.5', 1)] }));
    const resolvConf = resolvConfFile(t, 'nameserver 127.0.0.7\nnameserver 10.96.0.10\n');
    const { port } = await dns(t, upstream.port, { clock, resolvConf });
    assert.equal(read(await overUdp(port, questionOf('one.example'))).rcode, rcodes.SERVFAIL, 'nobody listens there');
    writeFileSync(resolvConf, `# now\nnameserver 10.96.0.10\nnameserver 127.0.0.1\nnameserver ${upstreamAddress}\n`);
    await clock.advance(5_000);
    assert.deepEqual(read(await overUdp(port, questionOf('one.example'))).addresses, ['203.0.113.5']);
  });

  test('that lead round in a circle of servers end', async (t) => {
    const clock = new VirtualClock();
    let back = 0;
    const upstream = await testUpstream(t, ({ question }) => {
      // As a server that forwards to us would ask again.
      if (back > 0) void overUdp(back, questionOf(question.name.join('.')), 100);
      return 'silence';
    });
    const { port } = await dns(t, upstream.port, { clock });
    back = port;
    const asking = overUdp(port, questionOf('circle.example'));
    await until(() => upstream.asked.length > 0);
    await until(async () => {
      await clock.advance(1_000);
      return (await Promise.race([asking, false])) !== false;
    });
    assert.equal(read(await asking).rcode, rcodes.SERVFAIL);
    assert.equal(upstream.asked.length, 1);
  });

  test('whose answers are no answers, or those of others, are not believed', async (t) => {
    let lie: Buffer | undefined;
    const upstream = await testUpstream(t, (query) => {
      const wrong = questionOf('other.example');
      wrong.writeUInt16BE(0x8180, 2);
      wrong.writeUInt16BE(query.id, 0);
      lie = query.question.name[0] === 'junk' ? Buffer.from('junk') : wrong;
      return lie;
    });
    const clock = new VirtualClock();
    const { port } = await dns(t, upstream.port, { clock });
    for (const name of ['junk.example', 'lie.example']) {
      lie = undefined;
      const asking = overUdp(port, questionOf(name));
      await until(() => lie !== undefined);
      await until(async () => {
        await clock.advance(1_000);
        return (await Promise.race([asking, false])) !== false;
      });
      assert.equal(read(await asking).rcode, rcodes.SERVFAIL, name);
      await clock.advance(10_000);
    }
  });
});

describe('whoever sends something else', () => {
  test('harms nobody: junk, floods and connections that say nothing', async (t) => {
    const { port, resolver } = await dns(t, 1);
    const junk = Array.from({ length: 500 }, (_, i) => Buffer.alloc(i % 60, i));
    await Promise.all(junk.map((packet) => overUdp(port, packet, 5)));
    assert.deepEqual(await overTcp(port, [Buffer.alloc(5_000)]), [], 'no question is that long');
    const [bare] = await overTcp(port, [Buffer.alloc(12)]);
    assert.equal(bare?.readUInt16BE(2), 0x8001);
    assert.equal((await resolver.resolveSoa('cluster.local')).nsname, 'ns.dns.cluster.local');
  });
});
