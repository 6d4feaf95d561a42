import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type Cidr, cidrText } from './cidr.ts';
import { ip, nft, run } from './commands.ts';
import { gatewayDevice, linkPrefix, podTable } from './host-rules.ts';
import { leftClaims, type NetworkPlan, releaseRange, releaseRanges } from './plan.ts';

/** Gives the host the gateway's address and the routes. What is there stays: pods may be using it. */
export async function setUpGateway(plan: NetworkPlan): Promise<void> {
  for (const left of leftClaims().filter(({ id }) => id !== plan.id)) {
    await removeLeft(left).catch(() => {}); // Another role is at it, or the next start will be.
  }
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

/** What a platform has left that was killed, and whose folder is gone. */
async function removeLeft({ id, range }: { id: string; range: Cidr }): Promise<void> {
  const own = new RegExp(`^table ip (kittiwake-${id}(-[a-z]+)?)$`, 'gm');
  const tables = [...(await run(['nft', 'list', 'tables', 'ip'], '')).matchAll(own)].map(([, table]) => table);
  if (tables.length > 0) await nft(tables.map((table) => `delete table ip ${table}\n`).join(''));
  await deleteLinks(readdirSync('/sys/class/net').filter((link) => isOf(id, link)));
  await removeUnreachable(range);
  releaseRange(range);
}

/** There, to begin with: removing what is not there would be an error. */
async function removeUnreachable(range: Cidr): Promise<void> {
  const text = cidrText(range);
  await ip([`route replace unreachable ${text}`, `route del unreachable ${text}`]);
}

const isOf = (id: string, link: string) => link === gatewayDevice({ id }) || link.startsWith(linkPrefix({ id }));

/** Whatever there is of it goes, in whatever state it is. */
export async function removePodNetwork(plan: NetworkPlan): Promise<void> {
  const table = podTable(plan);
  await nft(`table ip ${table} {}\ndelete table ip ${table}\n`);
  await deleteLinks(readdirSync('/sys/class/net').filter((link) => isOf(plan.id, link)));
  await removeUnreachable(plan.podRange);
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
