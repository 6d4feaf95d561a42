/** From a name in a pod to who answers: DNS, Service addresses and what listens on the host's loopback, together. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { CoreServiceKind } from '../../api/core/service.ts';
import { dnsDomain } from '../../api/names.ts';
import { systemClock as clock } from '../../lib/clock.ts';
import { afterwards } from '../../lib/testing/afterwards.ts';
import { temporaryFolder } from '../../lib/testing/temporary-folder.ts';
import { silentLogger as log } from '../../observe/log.ts';
import { openApiServer } from '../apiserver/index.ts';
import { resolvConf } from '../node/resolv-conf.ts';
import { defaultServiceNetwork } from '../service-network.ts';
import { cidrText } from './cidr.ts';
import { startNetwork } from './role.ts';
import { inOwnNetwork } from './testing/own-network.ts';
import { testPlatform, testPod } from './testing/test-platform.ts';

const run = promisify(execFile);

/** Asks for each URL in turn, and says who answered, or why nobody did. */
const program = `
  const [ca, ...urls] = process.argv.slice(1);
  const ask = (url) => new Promise((resolve) => {
    const { get } = require(url.split(':')[0]);
    get(url, { ca: require('fs').readFileSync(ca), timeout: 5000 }, (reply) => {
      let text = '';
      reply.on('data', (chunk) => (text += chunk)).on('end', () => resolve(reply.statusCode + ' ' + text));
    }).on('error', (error) => resolve(error.code));
  });
  (async () => {
    for (const url of urls) console.log((await ask(url)).replace(/\\s+/g, ' ').slice(0, 200));
    process.exit();
  })();`;

inOwnNetwork(import.meta.url, () => {
  test('a pod finds the API server, the gateway and its own Services by their names', async (t) => {
    const platform = testPlatform(t);
    const { plan } = platform;
    const dataDir = temporaryFolder(t);
    const gateway = createServer((request, response) => {
      response.end(`${request.headers.host} from ${request.socket.remoteAddress}`);
    });
    gateway.listen(0, '127.0.0.1');
    await once(gateway, 'listening');
    afterwards(t, () => gateway.close());
    const { port } = gateway.address() as AddressInfo;
    const reserved = { ...defaultServiceNetwork.reserved, 'default/gateway': 12 };
    const serviceNetwork = { ...defaultServiceNetwork, cidr: cidrText(plan.serviceRange), reserved };
    const api = await openApiServer({ dataDir, clock, log, kinds: [], serviceNetwork });
    afterwards(t, () => api.stop());
    await api.listen({ port: 0 });
    const dnsPorts = [
      { name: 'dns', port: 53, protocol: 'UDP' as const, target: 53 },
      { name: 'dns-tcp', port: 53, target: 53 },
    ];
    await api.keep([
      { namespace: 'kube-system', name: 'kube-dns', ports: dnsPorts, address: plan.gatewayAddress },
      {
        namespace: 'default',
        name: 'gateway',
        ports: [{ name: 'http2', port: 80, target: port }],
        address: '127.0.0.1',
      },
    ]);
    const externalName = `gateway.default.svc.${dnsDomain}`;
    await api.client.create(CoreServiceKind, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'hello', namespace: 'default' },
      spec: { type: 'ExternalName', externalName, ports: [{ name: 'http2', port: 80 }] },
    });
    const role = await startNetwork({ client: api.client, plan, nodeName: 'local', domain: dnsDomain, clock, log });
    afterwards(t, () => role.stop());

    const pod = await testPod(t, platform, 'client');
    const file = join(dataDir, 'resolv.conf');
    const nodeDns = { nameservers: platform.network.nameservers, domain: dnsDomain, hostConf: '' };
    const asPod = { apiVersion: 'v1', kind: 'Pod', metadata: pod.pod, spec: { containers: [] } };
    writeFileSync(file, resolvConf(asPod, nodeDns).text);
    assert.match(readFileSync(file, 'utf8'), new RegExp(`nameserver ${plan.dnsAddress}\n`));
    const ask = async (...urls: string[]) => {
      const enter = [`--net=${pod.netns}`, 'unshare', '--mount', 'sh', '-c'];
      const mount = `mount --bind ${file} /etc/resolv.conf && exec "$0" "$@"`;
      const node = [process.execPath, '-e', program, join(dataDir, 'pki', 'ca.crt')];
      const { stdout } = await run('nsenter', [...enter, mount, ...node, ...urls]);
      return stdout.trim().split('\n');
    };
    const answers = await ask(
      'http://hello.default.svc.cluster.local/',
      'http://hello/',
      'http://gateway.default/',
      'https://kubernetes.default.svc/version',
      `https://${plan.apiAddress}/version`,
      'http://nobody.default.svc.cluster.local/',
      `http://127.0.0.1:${port}/`,
      `http://${plan.gatewayAddress}:${port}/`,
    );
    assert.equal(answers[0], `200 hello.default.svc.cluster.local from ${pod.ip}`);
    assert.equal(answers[1], `200 hello from ${pod.ip}`);
    assert.match(answers[2] ?? '', /^200 gateway\.default from /);
    for (const answer of answers.slice(3, 5))
      assert.match(answer, /^(200|401) \{/, 'its certificate is good for the name');
    assert.equal(answers[5], 'ENOTFOUND');
    assert.deepEqual(answers.slice(6), ['ECONNREFUSED', 'ECONNREFUSED'], "the host's loopback itself is not there");
  });
});
