import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { afterwards } from '../../lib/testing/afterwards.ts';
import { temporaryFolder } from '../../lib/testing/temporary-folder.ts';
import { silentLogger as log } from '../../observe/log.ts';
import { AddressPool } from './address-pool.ts';
import { NetworkOfPods } from './network-of-pods.ts';
import { planNetwork } from './plan.ts';
import type { HostPort } from './pod-network.ts';
import { mendPodTable } from './pod-table-watch.ts';
import { inOwnNetwork } from './testing/own-network.ts';
import { never, podOf, shell, testPlatform, testPod, traces } from './testing/test-platform.ts';
import { testNetns, testProgram } from './testing/test-pod.ts';

inOwnNetwork(import.meta.url, () => {
  test('pods reach one another, the host and themselves by address', async (t) => {
    const here = testPlatform(t);
    const [a, b] = await Promise.all([testPod(t, here, 'a'), testPod(t, here, 'b')]);
    const host = testProgram(t, 'host');
    await host.listen(7070);
    assert.equal(await a.ask(b.ip, 80), `b ${a.ip}`);
    assert.equal(await b.ask(a.ip, 80, { protocol: 'udp' }), `a ${b.ip}`);
    assert.equal(await a.ask(a.ip, 80), `a ${a.ip}`);
    assert.equal(await host.ask(a.ip, 80), `a ${here.plan.gatewayAddress}`);
    assert.equal(await a.ask(here.plan.gatewayAddress, 7070), `host ${a.ip}`);
    await assert.rejects(a.ask('10.244.0.77', 80), { message: 'EHOSTUNREACH' });
  });

  test('a host port leads to its pod from the host, from pods and from the pod itself', async (t) => {
    const here = testPlatform(t);
    const ports: HostPort[] = [
      { hostPort: 8088, containerPort: 80, protocol: 'TCP' },
      { hostPort: 8088, containerPort: 80, protocol: 'UDP' },
      { hostIP: '127.0.0.1', hostPort: 8099, containerPort: 80, protocol: 'TCP' },
    ];
    const [a, b] = [await testPod(t, here, 'a', ports), await testPod(t, here, 'b')];
    const host = testProgram(t, 'host');
    const gateway = here.plan.gatewayAddress;
    assert.equal(await host.ask('127.0.0.1', 8088), `a ${gateway}`);
    assert.equal(await host.ask(gateway, 8088, { protocol: 'udp' }), `a ${gateway}`);
    assert.equal(await host.ask('127.0.0.1', 8099), `a ${gateway}`);
    assert.equal(await b.ask(gateway, 8088), `a ${b.ip}`);
    assert.equal(await a.ask(gateway, 8088), `a ${gateway}`);
    await assert.rejects(b.ask(gateway, 8099), { message: 'ECONNREFUSED' });
    const clashing = podOf('c', [{ hostIP: '10.0.0.1', hostPort: 8088, containerPort: 1, protocol: 'TCP' }]);
    await assert.rejects(here.network.attach(clashing, testNetns(t), never), {
      code: 'HOST_PORT_TAKEN',
      message: 'the host port 8088/TCP is taken by the pod default/a: choose another, or wait until that is gone',
    });
    await here.network.detach(a.pod.uid);
    await assert.rejects(host.ask('127.0.0.1', 8088), { message: 'ECONNREFUSED' });
  });

  test('a pod can use no address but its own, and not reach the loopback of the host', async (t) => {
    const here = testPlatform(t);
    const [a, b] = [await testPod(t, here, 'a'), await testPod(t, here, 'b')];
    const host = testProgram(t, 'host');
    await host.listen(7070, { host: '127.0.0.1' });
    const inA = (command: string) => shell(`nsenter --net=${a.netns} sh -c '${command}'`);
    for (const address of [b.ip, '10.244.0.200', '192.168.7.7']) {
      const host = address === b.ip ? here.plan.gatewayAddress : b.ip;
      inA(`ip addr add ${address}/32 dev eth0`);
      await assert.rejects(a.ask(host, 80, { from: address }), { message: 'no answer' });
      inA(`ip addr del ${address}/32 dev eth0`);
    }
    // As root in its own namespace could: the loopback through the link.
    inA(`ip addr flush dev lo
      ip route flush table local dev lo
      ip route add 127.0.0.1 via ${here.plan.gatewayAddress} src ${a.ip}
      echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet`);
    await assert.rejects(a.ask('127.0.0.1', 7070), { message: 'no answer' });
    assert.equal(await a.ask(b.ip, 80), `b ${a.ip}`);
  });

  test('what leaves the cluster has the address of the host', async (t) => {
    const here = testPlatform(t);
    const outside = testNetns(t);
    shell(`ip link add out0 type veth peer name eth0 netns ${outside}
      ip addr add 203.0.113.1/24 dev out0; ip link set out0 mtu 1400 up
      nsenter --net=${outside} sh -c 'ip addr add 203.0.113.9/24 dev eth0; ip link set eth0 up'
      ip route add default via 203.0.113.9`);
    afterwards(t, () => shell('ip link del out0'));
    const world = testProgram(t, 'world', outside);
    await world.listen(80);
    const a = await testPod(t, here, 'a');
    assert.equal(await a.ask('203.0.113.9', 80), 'world 203.0.113.1');
    assert.match(shell(`nsenter --net=${a.netns} ip link show eth0`), /mtu 1400/);
  });

  test('attaching again keeps the address, be it in another namespace; detaching again does nothing', async (t) => {
    const here = testPlatform(t);
    const pod = podOf('a');
    const first = await here.network.attach(pod, testNetns(t), never);
    const netns = testNetns(t);
    assert.deepEqual(await here.network.attach(pod, netns, never), first);
    const a = testProgram(t, 'a', netns);
    await a.listen(80);
    assert.equal(await testProgram(t, 'host').ask(first.ips[0], 80), `a ${here.plan.gatewayAddress}`);
    await here.network.detach(pod.uid);
    await here.network.detach(pod.uid);
    await here.network.detach(randomUUID());
  });

  test('an agent that comes back keeps what pods have, and frees all else', async (t) => {
    const before = testPlatform(t);
    const ports: HostPort[] = [{ hostPort: 8088, containerPort: 80, protocol: 'TCP' }];
    const [kept, gone] = [await testPod(t, before, 'kept', ports), podOf('gone')];
    const { ips } = await before.network.attach(gone, testNetns(t), never);
    shell(`ip link add kw${before.plan.id}-00fe type veth peer name stray`);
    const after = new NetworkOfPods(planNetwork({ dataDir: join(before.plan.folder, '..') }), log);
    await after.recover(new Set([kept.pod.uid]));
    const links = readdirSync('/sys/class/net').filter((name) => name.startsWith(`kw${before.plan.id}-`));
    assert.equal(links.length, 1);
    const host = testProgram(t, 'host');
    assert.equal(await host.ask('127.0.0.1', 8088), `kept ${before.plan.gatewayAddress}`);
    const next = await after.attach(podOf('next'), testNetns(t), never);
    assert.notEqual(next.ips[0], kept.ip);
    assert.notEqual(next.ips[0], ips[0], 'an address that was just freed is not given at once');
  });

  test('a start that fails or is called off leaves nothing', async (t) => {
    const here = testPlatform(t);
    await assert.rejects(here.network.attach(podOf('a'), '/nowhere/net', never), { code: 'NETWORK_COMMAND_FAILED' });
    const bad = here.network.attach(podOf('a'), '/tmp/net type dummy\nlink del lo', never);
    await assert.rejects(bad, /the path of a network namespace/);
    const calledOff = new AbortController();
    const attaching = here.network.attach(podOf('a'), testNetns(t), calledOff.signal);
    calledOff.abort(new Error('called off'));
    await assert.rejects(attaching, /called off/);
    await here.network.close();
    assert.deepEqual(traces(), []);
    assert.deepEqual(readdirSync(join(here.plan.folder, 'addresses')), []);
  });

  test('a pool without a free address says so, and has one again when a pod is gone', async (t) => {
    const here = testPlatform(t);
    // All but two, as pods of before.
    const pool = new AddressPool(join(here.plan.folder, 'addresses'), here.plan.podRange);
    for (let i = 0; i < 251; i++) pool.take(podOf(`filler-${i}`));
    const full = { plan: here.plan, network: new NetworkOfPods(here.plan, log) };
    const [first, second] = [podOf('first'), podOf('second')];
    const { ips } = await full.network.attach(first, testNetns(t), never);
    await full.network.attach(second, testNetns(t), never);
    const netns = testNetns(t);
    await assert.rejects(full.network.attach(podOf('third'), netns, never), {
      code: 'POD_ADDRESSES_EXHAUSTED',
      message:
        'no IP addresses available in range set: 10.244.0.1-10.244.0.254: 253 pods have one each; ' +
        'it is tried again when one is gone',
    });
    await full.network.detach(first.uid);
    assert.deepEqual(await full.network.attach(podOf('third'), netns, never), { ips });
  });

  test('two platforms side by side have ranges and names of their own, and neither hurts the other', async (t) => {
    const [one, other] = [testPlatform(t), testPlatform(t)];
    const [a, b] = [await testPod(t, one, 'a'), await testPod(t, other, 'b')];
    assert.deepEqual([a.ip, b.ip], ['10.244.0.2', '10.244.1.2']);
    assert.notDeepEqual(one.plan.serviceRange, other.plan.serviceRange);
    assert.equal(await a.ask(b.ip, 80), `b ${a.ip}`);
    await other.network.detach(b.pod.uid);
    await other.network.close();
    assert.equal(await testProgram(t, 'host').ask(a.ip, 80), `a ${one.plan.gatewayAddress}`);
    await one.network.detach(a.pod.uid);
    await one.network.close();
    assert.deepEqual(traces(), []);
  });

  test('rules that somebody has flushed are written again while pods need them', async (t) => {
    const here = testPlatform(t);
    assert.equal(await mendPodTable(here.plan), false);
    const ports: HostPort[] = [{ hostPort: 8088, containerPort: 80, protocol: 'TCP' }];
    const a = await testPod(t, here, 'a', ports);
    const host = testProgram(t, 'host');
    assert.equal(await mendPodTable(here.plan), false);
    shell('nft flush ruleset');
    await assert.rejects(host.ask('127.0.0.1', 8088), { message: 'ECONNREFUSED' });
    assert.equal(await mendPodTable(here.plan), true);
    assert.match(await host.ask('127.0.0.1', 8088), /^a /);
    shell('nft flush ruleset');
    await here.network.detach(a.pod.uid);
    await assert.rejects(host.ask('127.0.0.1', 8088), { message: 'ECONNREFUSED' });
  });

  test('what a platform has left that was killed, and whose folder is gone, is taken away by the next', async (t) => {
    const left = temporaryFolder(t);
    const killed = planNetwork({ dataDir: left });
    await new NetworkOfPods(killed, log).attach(podOf('a'), testNetns(t), never);
    rmSync(left, { recursive: true });
    const here = testPlatform(t);
    const b = await testPod(t, here, 'b');
    assert.doesNotMatch(traces().join(), new RegExp(killed.id));
    assert.match(await testProgram(t, 'host').ask(b.ip, 80), /^b /);
    assert.equal(readdirSync('/run/kittiwake/ranges').length, 2);
    assert.equal(shell('ip route show type unreachable').trim().split('\n').length, 1);
  });

  test('300 pods that come and go leave nothing', async (t) => {
    const here = testPlatform(t);
    const namespaces = Array.from({ length: 10 }, () => testNetns(t));
    const ports: HostPort[] = [{ hostPort: 9000, containerPort: 80, protocol: 'TCP' }];
    for (let round = 0; round < 30; round++) {
      const pods = namespaces.map((netns, i) => ({ netns, pod: podOf(`${round}-${i}`, i === 0 ? ports : []) }));
      const attached = await Promise.all(pods.map(({ netns, pod }) => here.network.attach(pod, netns, never)));
      assert.equal(new Set(attached.map(({ ips }) => ips[0])).size, 10);
      await Promise.all(pods.map(({ pod }) => here.network.detach(pod.uid)));
    }
    assert.deepEqual(
      readdirSync('/sys/class/net').filter((name) => name.startsWith(`kw${here.plan.id}`)),
      [],
    );
    assert.doesNotMatch(shell(`nft list table ip kittiwake-${here.plan.id}`), /9000|10\.244\.0\.\d+ :/);
    assert.deepEqual(readdirSync(join(here.plan.folder, 'addresses')), []);
    await here.network.close();
    assert.deepEqual(traces(), []);
  });
});
