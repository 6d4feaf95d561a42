import { type CoreService, CoreServiceKind } from '../../../api/core/service.ts';
import { headless, type ServiceSpec } from '../../../api/core/service-spec.ts';
import type { KubeObject } from '../../../api/meta.ts';
import { ipv4Text, isInBlock } from '../../../lib/ipv4.ts';
import { blockOf, reservedAddress, type ServiceNetwork } from '../../service-network.ts';
import type { Store } from '../../store/store.ts';
import type { StoreEvent, Table } from '../../store/table.ts';
import { tableName } from '../served-resource.ts';

/** Numbers to choose from. The first `reserved` are for those who ask for one, as long as there are others. */
interface Range {
  first: number;
  size: number;
  reserved: number;
}

/** What one write may take: it is asked in the turn of the event loop in which the write is decided. */
export interface Claims {
  /** Why it cannot be had, if so. */
  takeAddress(address: string): string | undefined;
  takePort(port: number): string | undefined;
  /** A free one; undefined when there is none. */
  nextAddress(): string | undefined;
  nextPort(): number | undefined;
}

/**
 * What of the Services' addresses and node ports is free. Nothing is remembered but what is on disk and what waits for
 * it, so a write that fails takes nothing, and no crash can make two Services have the same:
 *
 *     taken = what Services on disk have  ∪  what writes that wait for the disk have
 */
export class ServicePool {
  readonly #store: Store;
  readonly #table: Table;
  readonly #network: ServiceNetwork;
  readonly #random: () => number;
  /** By the keys of their Services, the addresses that are nobody else's. */
  readonly #reserved: ReadonlyMap<string, string>;
  /** Which Services have an address or port: more than one where they were stored before anybody looked. */
  readonly #owners = new Map<string, Set<string>>();
  readonly #unsubscribe: () => void;

  constructor(store: Store, network: ServiceNetwork, random: () => number = Math.random) {
    this.#store = store;
    this.#table = store.table(tableName(CoreServiceKind));
    this.#network = network;
    this.#random = random;
    this.#reserved = new Map(
      Object.keys(network.reserved).flatMap((key) => {
        const address = reservedAddress(network, key);
        return address === undefined ? [] : [[key, address] as const];
      }),
    );
    for (const [key, { object }] of this.#table.rows()) this.#add(key, object);
    this.#unsubscribe = this.#table.subscribe((events) => {
      for (const event of events) this.#onEvent(event);
    });
  }

  stop(): void {
    this.#unsubscribe();
  }

  /** Whether it is of another range: of before it was configured. */
  isElsewhere(address: string): boolean {
    return !isInBlock(blockOf(this.#network), address);
  }

  /** For a write of the Service at `key`. */
  claimsFor(key: string): Claims {
    const { nodePorts } = this.#network;
    const block = blockOf(this.#network);
    const waiting = this.#waiting(key);
    const othersReserved = new Set([...this.#reserved].flatMap(([owner, id]) => (owner === key ? [] : id)));
    const isTaken = (id: string) => {
      const owners = this.#owners.get(id);
      const isOthers = owners !== undefined && (owners.size > 1 || !owners.has(key));
      return isOthers || waiting.has(id) || othersReserved.has(id);
    };
    const take = (id: string) => {
      if (isTaken(id)) return false;
      waiting.add(id);
      return true;
    };
    const next = (range: Range, idOf: (number: number) => string): number | undefined => {
      for (const number of this.#candidates(range)) if (take(idOf(number))) return number;
      return undefined;
    };
    const ports = { first: nodePorts.first, size: nodePorts.last - nodePorts.first + 1 };
    const portRange = { ...ports, reserved: reservedOf(ports.size, 32, 128) };
    // Neither the address of the network nor that of broadcasts.
    const addressRange = { first: block.base + 1, size: block.size - 2, reserved: reservedOf(block.size, 16, 256) };
    return {
      takeAddress: (address) => {
        const isFirstOrLast = [block.base, block.base + block.size - 1].some((number) => ipv4Text(number) === address);
        if (!isInBlock(block, address) || isFirstOrLast) {
          const range = `The range of valid IPs is ${this.#network.cidr}`;
          return `the provided IP (${address}) is not in the valid range. ${range}`;
        }
        return take(address) ? undefined : 'provided IP is already allocated';
      },
      takePort: (port) => {
        if (port < nodePorts.first || port > nodePorts.last) {
          const range = `The range of valid ports is ${nodePorts.first}-${nodePorts.last}`;
          return `provided port is not in the valid range. ${range}`;
        }
        return take(portId(port)) ? undefined : 'provided port is already allocated';
      },
      nextAddress: () => {
        const own = this.#reserved.get(key);
        if (own !== undefined && take(own)) return own;
        const number = next(addressRange, ipv4Text);
        return number === undefined ? undefined : ipv4Text(number);
      },
      nextPort: () => next(portRange, portId),
    };
  }

  /** All of the range, beginning somewhere in its larger part: what was given back is not had again at once. */
  *#candidates({ first, reserved, size }: Range): Iterable<number> {
    const dynamic = size - reserved;
    const start = Math.floor(this.#random() * dynamic);
    for (let i = 0; i < dynamic; i++) yield first + reserved + ((start + i) % dynamic);
    for (let i = 0; i < reserved; i++) yield first + i;
  }

  #waiting(ownKey: string): Set<string> {
    const taken = new Set<string>();
    for (const [key, object] of this.#store.waiting(this.#table)) {
      if (key !== ownKey) for (const id of idsOf(object)) taken.add(id);
    }
    return taken;
  }

  #onEvent({ key, previous, stored, type }: StoreEvent): void {
    if (previous) {
      for (const id of idsOf(previous.object)) {
        const owners = this.#owners.get(id);
        owners?.delete(key);
        if (owners?.size === 0) this.#owners.delete(id);
      }
    }
    if (type !== 'DELETED') this.#add(key, stored.object);
  }

  #add(key: string, object: KubeObject): void {
    for (const id of idsOf(object)) {
      const owners = this.#owners.get(id);
      if (owners) owners.add(key);
      else this.#owners.set(id, new Set([key]));
    }
  }
}

const portId = (port: number) => `port ${port}`;

/** How many of a range are kept for those who ask for one (KEP-3070, KEP-3668). */
function reservedOf(size: number, share: number, max: number): number {
  return size <= 16 ? 0 : Math.min(Math.max(16, Math.floor(size / share)), max);
}

/** What a stored Service has; whatever its type is, as it may have been written by hand. */
function idsOf(object: KubeObject): string[] {
  const spec: ServiceSpec = (object as CoreService).spec ?? {};
  const addresses = (spec.clusterIPs ?? []).filter((address) => address !== headless && address !== '');
  const ports = [...(spec.ports ?? []).map(({ nodePort }) => nodePort), spec.healthCheckNodePort];
  return [...addresses, ...ports.flatMap((port) => (port ? portId(port) : []))];
}
