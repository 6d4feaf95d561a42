import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { afterwards, type Scope } from '../../../lib/testing/afterwards.ts';
import { temporaryFolder } from '../../../lib/testing/temporary-folder.ts';
import { silentLogger } from '../../../observe/log.ts';
import { NetworkOfPods } from '../network-of-pods.ts';
import { type NetworkPlan, planNetwork } from '../plan.ts';
import type { HostPort, PodToAttach } from '../pod-network.ts';
import { policyTable } from '../policies/policy-table.ts';
import { serviceTable } from '../services/ruleset.ts';
import { type TestProgram, testNetns, testProgram } from './test-pod.ts';

/** A platform as far as the network goes. */
export interface TestPlatform {
  plan: NetworkPlan;
  network: NetworkOfPods;
}

export interface TestPod extends TestProgram {
  pod: PodToAttach;
  ip: string;
  netns: string;
}

export const never = new AbortController().signal;
export const shell = (command: string): string => execFileSync('sh', ['-c', command], { encoding: 'utf8' });

export function podOf(name: string, hostPorts: HostPort[] = []): PodToAttach {
  return { uid: randomUUID(), namespace: 'default', name, hostPorts };
}

/** Taken away with its pods when the test is over. */
export function testPlatform(t: Scope, options: { dataDir?: string; clusterRange?: string } = {}): TestPlatform {
  const { dataDir = temporaryFolder(t), clusterRange } = options;
  const plan = planNetwork({ dataDir, clusterRange });
  afterwards(t, async () => {
    const last = new NetworkOfPods(plan, silentLogger);
    await last.recover(new Set());
    await last.close();
    for (const table of [serviceTable(plan), policyTable(plan)]) {
      shell(`nft 'table ip ${table} {}; delete table ip ${table}'`);
    }
  });
  return { plan, network: new NetworkOfPods(plan, silentLogger) };
}

/** A pod that answers on port 80, by TCP and UDP. */
export async function testPod(t: Scope, { network }: TestPlatform, name: string, ports?: HostPort[]): Promise<TestPod> {
  const [pod, netns] = [podOf(name, ports), testNetns(t)];
  afterwards(t, () => network.detach(pod.uid));
  const { ips } = await network.attach(pod, netns, never);
  const program = testProgram(t, name, netns);
  await program.listen(80);
  await program.listen(80, { protocol: 'udp' });
  return { ...program, pod, ip: ips[0], netns };
}

/** What stands in this network namespace of ours. */
export function traces(): string[] {
  const links = readdirSync('/sys/class/net').filter((name) => name.startsWith('kw'));
  const lines = shell('nft list tables; ip route').split('\n');
  return [...links, ...lines.filter((line) => /kittiwake|dev kw|unreachable/.test(line))];
}
