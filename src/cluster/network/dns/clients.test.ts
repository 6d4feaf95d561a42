/** What the resolvers that programs have make of it, in a pod with the resolv.conf that it is given. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { NamespaceKind } from '../../../api/core/namespace.ts';
import type { Pod } from '../../../api/core/pod.ts';
import { CoreServiceKind } from '../../../api/core/service.ts';
import type { ServiceSpec } from '../../../api/core/service-spec.ts';
import { EndpointSliceKind } from '../../../api/discovery/endpoint-slice.ts';
import { systemClock } from '../../../lib/clock.ts';
import { ipv4Block } from '../../../lib/ipv4.ts';
import { afterwards } from '../../../lib/testing/afterwards.ts';
import { temporaryFolder } from '../../../lib/testing/temporary-folder.ts';
import { createLogger, silentLogger } from '../../../observe/log.ts';
import { openApi } from '../../apiserver/testing/open-api.ts';
import { resolvConf } from '../../node/resolv-conf.ts';
import { cidrText } from '../cidr.ts';
import { NetworkOfPods } from '../network-of-pods.ts';
import { planNetwork } from '../plan.ts';
import { inOwnNetwork } from '../testing/own-network.ts';
import { testNetns } from '../testing/test-pod.ts';
import { startClusterDns } from './cluster-dns.ts';
import { service, slice } from './testing/cluster.ts';
import { a, testUpstream } from './testing/upstream.ts';

const run = promisify(execFile);
const isThere = (program: string) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const needs = (program: string) => (isThere(program) ? false : `there is no ${program}`);

interface TestPod {
  /** Runs a program to its end in the pod; what it printed, and how it ended. */
  run(...argv: string[]): Promise<{ stdout: string; code: number }>;
  folder: string;
}

/** A pod of the namespace default, whose names are answered from this cluster. */
async function podWithNames(t: TestContext): Promise<TestPod & { server: string }> {
  const folder = temporaryFolder(t);
  const plan = planNetwork({ dataDir: folder });
  const network = new NetworkOfPods(plan, createLogger('test', 'error'));
  afterwards(t, () => network.close());
  const netns = testNetns(t);
  const uid = 'pod-with-names';
  afterwards(t, () => network.detach(uid));
  await network.attach({ uid, namespace: 'default', name: 'p', hostPorts: [] }, netns, new AbortController().signal);
  const api = await clusterOfTest(t);
  await testUpstream(
    t,
    (query) =>
      query.question.name.join('.') === 'www.example.com' ? { answers: [a(query, '203.0.113.5')] } : undefined,
    53,
  );
  const hostConf = join(folder, 'host-resolv.conf');
  writeFileSync(hostConf, 'nameserver 127.0.0.53\noptions edns0 trust-ad\n');
  const blocks = [plan.serviceRange, plan.clusterRange].flatMap((range) => ipv4Block(cidrText(range)) ?? []);
  const dns = await startClusterDns({
    client: api.client,
    address: plan.gatewayAddress,
    domain: 'cluster.local',
    serviceAddress: plan.dnsAddress,
    blocks,
    resolvConf: hostConf,
    clock: systemClock,
    log: silentLogger,
  });
  afterwards(t, () => dns.stop());
  await dns.synced;
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default' },
    spec: { containers: [] },
  };
  const nodeDns = { nameservers: [plan.gatewayAddress], domain: 'cluster.local', hostConf: '' };
  const file = join(folder, 'resolv.conf');
  writeFileSync(file, resolvConf(pod as Pod, nodeDns).text);
  const enter = ['nsenter', `--net=${netns}`, 'unshare', '--mount', 'sh', '-c'];
  const mount = `mount --bind ${file} /etc/resolv.conf && exec "$0" "$@"`;
  return {
    folder,
    server: plan.gatewayAddress,
    async run(...argv) {
      const [program = '', ...args] = [...enter, mount, ...argv];
      try {
        return { stdout: (await run(program, args, { timeout: 30_000 })).stdout, code: 0 };
      } catch (error) {
        const { stdout = '', code } = error as { stdout?: string; code?: number };
        return { stdout, code: code ?? -1 };
      }
    },
  };
}

async function clusterOfTest(t: TestContext) {
  const { api } = await openApi(t);
  const make = (namespace: string, name: string, spec: ServiceSpec) =>
    api.client.create(CoreServiceKind, service(namespace, name, spec));
  await api.client.create(NamespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  await make('default', 'web', { clusterIP: '10.96.0.77', ports: [{ name: 'http', port: 80 }] });
  await make('shop', 'db', { clusterIP: 'None', selector: {}, ports: [{ name: 'sql', port: 5432 }] });
  await api.client.create(
    EndpointSliceKind,
    slice(
      'shop/db',
      Array.from({ length: 60 }, (_, i) => ({ addresses: [`10.244.1.${i}`], hostname: `db-${i}` })),
      [{ name: 'sql', port: 5432, protocol: 'TCP' }],
    ),
  );
  await make('default', 'outside', { type: 'ExternalName', externalName: 'www.example.com' });
  return api;
}

const web = '10.96.0.77';
const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .filter((line) => line !== '');

inOwnNetwork(import.meta.url, () => {
  test('in a pod names are found by', async (t) => {
    const pod = await podWithNames(t);
    const dig = async (...args: string[]) => (await pod.run('dig', '+time=5', '+tries=1', ...args)).stdout;

    await t.test('glibc, short and long, inside and outside', async () => {
      const found = async (name: string) => {
        const { stdout } = await pod.run('getent', 'ahostsv4', name);
        return [...new Set(lines(stdout).map((line) => line.split(' ')[0]))].sort();
      };
      for (const name of ['web', 'web.default', 'web.default.svc', 'web.default.svc.cluster.local.']) {
        assert.deepEqual(await found(name), [web], name);
      }
      assert.equal((await found('db.shop')).length, 60, 'more than fit into 512 bytes');
      assert.deepEqual(await found('db-7.db.shop'), ['10.244.1.7']);
      assert.deepEqual(await found('outside'), ['203.0.113.5']);
      assert.deepEqual(await found('www.example.com'), ['203.0.113.5']);
      assert.deepEqual(await found('nobody'), []);
      assert.match((await pod.run('getent', 'hosts', web)).stdout, /web\.default\.svc\.cluster\.local/);
      assert.equal((await pod.run('getent', 'ahostsv6', 'nobody.default')).code, 2);
    });

    await t.test('dig, however it asks', { skip: needs('dig') }, async () => {
      const name = 'web.default.svc.cluster.local';
      for (const how of ['+noedns', '+edns', '+dnssec', '+tcp', '+bufsize=4096', '+norecurse', '+cookie', '+nsid']) {
        assert.equal((await dig(how, '+short', name)).trim(), web, how);
      }
      const whole = await dig(name);
      assert.match(whole, /status: NOERROR[\s\S]*flags: qr aa rd ra;[\s\S]*ANSWER: 1, AUTHORITY: 0/);
      assert.match(whole, /\sIN\tA\t10\.96\.0\.77/);
      assert.match(await dig('AAAA', name), /status: NOERROR[\s\S]*ANSWER: 0, AUTHORITY: 1[\s\S]*\bSOA\tns\.dns\./);
      assert.match(await dig(`x${name}`), /status: NXDOMAIN[\s\S]*\bSOA\b/);
      assert.equal((await dig('+short', 'SRV', `_http._tcp.${name}`)).trim(), `0 100 80 ${name}.`);
      const all = await dig('SRV', '_sql._tcp.db.shop.svc.cluster.local');
      assert.match(all, /ANSWER: 60,/);
      assert.match(all, /TCP/, 'it asked again over TCP');
      assert.equal((await dig('+short', '-x', web)).trim(), `${name}.`);
      assert.deepEqual(lines(await dig('+short', 'outside.default.svc.cluster.local')), [
        'www.example.com.',
        '203.0.113.5',
      ]);
      assert.match(await dig('wWw.ExAmPlE.cOm'), /^wWw\.ExAmPlE\.cOm\.\s/m);
      assert.match(await dig('AXFR', 'cluster.local'), /Transfer failed|REFUSED/);
      assert.match(await dig('CH', 'TXT', 'version.bind'), /status: REFUSED/);
      assert.match(await dig('+ednsopt=65001:00', '+edns=1', '+noednsneg', name), /status: BADVERS/);
    });

    await t.test("Node's two resolvers", async () => {
      const program = `
        const dns = require('dns').promises;
        (async () => {
          const looked = await dns.lookup('web.default');
          const resolved = await dns.resolve4('db.shop.svc.cluster.local');
          const [srv] = await dns.resolveSrv('_http._tcp.web.default.svc.cluster.local');
          const missing = await dns.lookup('nobody').catch(({ code }) => code);
          console.log(JSON.stringify([looked.address, resolved.length, srv.port, missing]));
        })();`;
      const { stdout } = await pod.run(process.execPath, '-e', program);
      assert.deepEqual(JSON.parse(stdout), [web, 60, 80, 'ENOTFOUND']);
    });

    await t.test('musl', { skip: needs('musl-gcc') }, async () => {
      const [source, program] = [join(pod.folder, 'look.c'), join(pod.folder, 'look')];
      writeFileSync(source, muslProgram);
      await run('musl-gcc', ['-static', '-o', program, source]);
      for (const name of ['web', 'web.default.svc', 'outside', 'www.example.com']) {
        const expected = name.startsWith('web') ? web : '203.0.113.5';
        assert.equal((await pod.run(program, name)).stdout.trim(), expected, name);
      }
      // Older ones take what fits into a packet, later ones ask again over TCP and have room for 48.
      const { length } = lines((await pod.run(program, 'db.shop')).stdout);
      assert.ok(length >= 25 && length <= 48, `${length}`);
      assert.equal((await pod.run(program, 'nobody')).code, 1);
    });

    await t.test('Go', { skip: needs('go') }, async () => {
      const [source, program] = [join(pod.folder, 'look.go'), join(pod.folder, 'look-go')];
      writeFileSync(source, goProgram);
      const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod', GO111MODULE: 'off' };
      await run('go', ['build', '-o', program, source], { env });
      const { stdout } = await pod.run(program, 'web', 'db.shop', 'outside', 'nobody');
      assert.deepEqual(lines(stdout), [web, '60 addresses', '203.0.113.5', 'not found']);
    });

    await t.test(
      'nobody outside: whoever is no pod and not of this host gets no answer',
      { skip: needs('dig') },
      async (t) => {
        const outside = testNetns(t);
        const inside = (command: string) => run('nsenter', [`--net=${outside}`, 'sh', '-c', command]);
        await run('sh', ['-c', `ip link add out0 type veth peer name out1 && ip link set out1 netns ${outside}`]);
        await run('sh', ['-c', 'ip addr add 192.0.2.1/24 dev out0 && ip link set out0 up']);
        await inside(`ip addr add 192.0.2.2/24 dev out1 && ip link set out1 up && ip route add default via 192.0.2.1`);
        for (const how of ['+notcp', '+tcp']) {
          const ask = inside(`dig ${how} +time=1 +tries=1 @${pod.server} web.default.svc.cluster.local`);
          await assert.rejects(ask, (error: { stdout?: string }) => !/NOERROR/.test(error.stdout ?? ''), how);
        }
        const own = await run('dig', ['+short', `@${pod.server}`, 'web.default.svc.cluster.local']);
        assert.equal(own.stdout.trim(), web, 'the host itself may');
      },
    );
  });
});

const muslProgram = `
#include <netdb.h>
#include <stdio.h>
#include <arpa/inet.h>
int main(int argc, char **argv) {
  struct addrinfo hints = {0}, *all, *one;
  char text[64];
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(argv[1], 0, &hints, &all)) return 1;
  for (one = all; one; one = one->ai_next)
    puts(inet_ntop(AF_INET, &((struct sockaddr_in *)one->ai_addr)->sin_addr, text, sizeof text));
  return 0;
}`;

const goProgram = `
package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	for _, name := range os.Args[1:] {
		addresses, err := net.LookupHost(name)
		switch {
		case err != nil && err.(*net.DNSError).IsNotFound:
			fmt.Println("not found")
		case err != nil:
			fmt.Println(err)
		case len(addresses) == 1:
			fmt.Println(addresses[0])
		default:
			fmt.Println(len(addresses), "addresses")
		}
	}
}`;
