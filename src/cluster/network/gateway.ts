import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cidrText } from './cidr.ts';
import { ip, nft, run } from './commands.ts';
import { gatewayDevice, linkPrefix, podTable } from './host-rules.ts';
import { type NetworkPlan, releaseRanges } from './plan.ts';

/** Gives the host the gateway's address and the routes. What is there stays: pods may be using it. */
export async function setUpGateway(plan: NetworkPlan): Promise<void> {
  const device = gatewayDevice(plan);
  if (!isHere(device)) {
    await ip([`link add ${device} type bridge`]).catch((error) => {
      if (!isHere(device)) throw error; // Else another role was faster.
    });
  }
  await ip([
    `addr replace ${plan.gatewayAddress}/32 dev ${device}`,
    `link set ${device} up`,
    // Addresses that no pod has lead nowhere, rather than out of the machine.
    `route replace unreachable ${cidrText(plan.podRange)}`,
    `route replace ${cidrText(plan.serviceRange)} dev ${device} src ${plan.gatewayAddress}`,
  ]);
  if (readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim() !== '1') writeSetting('net/ipv4/ip_forward', '1');
}

/** Whatever there is of it goes, in whatever state it is. */
export async function removePodNetwork(plan: NetworkPlan): Promise<void> {
  const table = podTable(plan);
  await nft(`table ip ${table} {}\ndelete table ip ${table}\n`);
  const names = [gatewayDevice(plan), linkPrefix(plan)];
  await deleteLinks(
    readdirSync('/sys/class/net').filter((name) => name === names[0] || name.startsWith(names[1] ?? '')),
  );
  const range = cidrText(plan.podRange);
  await ip([`route replace unreachable ${range}`, `route del unreachable ${range}`]);
  releaseRanges(plan);
}

/** Those that are gone by now, with their namespace say, are no failure. */
export async function deleteLinks(links: readonly string[]): Promise<void> {
  if (links.length === 0) return;
  try {
    await run(['ip', '-force', '-batch', '-'], links.map((link) => `link del ${link}\n`).join(''));
  } catch (error) {
    const here = new Set(readdirSync('/sys/class/net'));
    if (links.some((link) => here.has(link))) throw error;
  }
}

const isHere = (link: string) => readdirSync('/sys/class/net').includes(link);

export const writeSetting = (name: string, value: string) => writeFileSync(`/proc/sys/${name}`, value);
