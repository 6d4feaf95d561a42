import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ipv4Number, ipv4Text } from '../../lib/ipv4.ts';
import { readJsonFile } from '../../lib/json-file.ts';
import { type Cidr, contains, sizeOf } from './cidr.ts';
import { networkErrors } from './errors.ts';
import type { NetworkPlan } from './plan.ts';
import type { PodToAttach } from './pod-network.ts';

/** A pod's share of the network: who has which address. */
export interface Lease {
  address: string;
  pod: PodToAttach;
}

/** Who has an address now, as far as another process can see. */
export function leasesIn(plan: Pick<NetworkPlan, 'folder'>): Lease[] {
  const folder = addressFolder(plan);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((address) => {
    const pod = readPod(join(folder, address));
    return pod ? [{ address, pod }] : [];
  });
}

export const addressFolder = ({ folder }: Pick<NetworkPlan, 'folder'>) => join(folder, 'addresses');

/**
 * The addresses of a node's pods: each that is given is a file named after it, so none is given twice, whoever gives.
 * They are given in turn: one that was freed comes again when all others have been given. Nothing is synced, for no
 * network outlives the power.
 */
export class AddressPool {
  readonly #folder: string;
  readonly #range: Cidr;
  readonly #leases = new Map<string, Lease>();
  #last: number;

  constructor(folder: string, range: Cidr) {
    this.#folder = folder;
    this.#range = range;
    this.#last = range.first + 1; // The gateway has it.
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) this.#find(name);
  }

  get leases(): readonly Lease[] {
    return [...this.#leases.values()];
  }

  leaseOf(podUid: string): Lease | undefined {
    return this.#leases.get(podUid);
  }

  /** The pod's address: the one that it has, or the next free one. Errors: POD_ADDRESSES_EXHAUSTED. */
  take(pod: PodToAttach): Lease {
    const has = this.#leases.get(pod.uid);
    if (has) return has;
    const [first, last] = [this.#range.first + 2, this.#range.first + sizeOf(this.#range) - 2];
    for (let tried = 0; tried <= last - first; tried++) {
      this.#last = this.#last >= last ? first : this.#last + 1;
      const lease = { address: ipv4Text(this.#last), pod };
      if (!this.#write(lease)) continue;
      this.#leases.set(pod.uid, lease);
      return lease;
    }
    const [from, to] = [ipv4Text(first - 1), ipv4Text(last)];
    throw networkErrors.POD_ADDRESSES_EXHAUSTED({ first: from, last: to, pods: this.#leases.size });
  }

  free(podUid: string): void {
    const lease = this.#leases.get(podUid);
    if (!lease) return;
    rmSync(join(this.#folder, lease.address), { force: true });
    this.#leases.delete(podUid);
  }

  /** False when somebody has the address. */
  #write({ address, pod }: Lease): boolean {
    try {
      writeFileSync(join(this.#folder, address), JSON.stringify(pod), { flag: 'wx' });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  }

  /** Takes over what an earlier agent has given; what is damaged, or of another range, is nobody's. */
  #find(name: string): void {
    const [address, path] = [ipv4Number(name), join(this.#folder, name)];
    const pod = address !== undefined && contains(this.#range, address) ? readPod(path) : undefined;
    if (address === undefined || pod === undefined || this.#leases.has(pod.uid)) {
      rmSync(path, { recursive: true, force: true });
      return;
    }
    this.#leases.set(pod.uid, { address: name, pod });
    this.#last = Math.max(this.#last, address);
  }
}

function readPod(path: string): PodToAttach | undefined {
  const pod = readJsonFile(path) as Partial<PodToAttach> | null | undefined;
  const isPod = typeof pod?.uid === 'string' && pod.uid !== '' && Array.isArray(pod.hostPorts);
  return isPod ? (pod as PodToAttach) : undefined;
}
