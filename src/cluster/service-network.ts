import { assert } from '../lib/errors.ts';
import { type Ipv4Block, ipv4Block, ipv4Text } from '../lib/ipv4.ts';

/** What the addresses and node ports of Services are taken from. */
export interface ServiceNetwork {
  /** For example `10.96.0.0/16`. */
  cidr: string;
  nodePorts: { first: number; last: number };
  /** Services whose address is known before they are there: `namespace/name`, and which one of the range. */
  reserved: Readonly<Record<string, number>>;
}

const apiKey = 'default/kubernetes';
const dnsKey = 'kube-system/kube-dns';

export const defaultServiceNetwork: ServiceNetwork = {
  cidr: '10.96.0.0/16',
  nodePorts: { first: 30_000, last: 32_767 },
  // As everybody has them.
  reserved: { [apiKey]: 1, [dnsKey]: 10 },
};

export function blockOf({ cidr }: Pick<ServiceNetwork, 'cidr'>): Ipv4Block {
  const block = ipv4Block(cidr);
  assert(block && block.size >= 16, `${cidr} is a block of at least 16 IPv4 addresses`);
  return block;
}

/** The address that is kept for a Service; undefined when none is. */
export function reservedAddress(network: Pick<ServiceNetwork, 'cidr' | 'reserved'>, key: string): string | undefined {
  const which = network.reserved[key];
  return which === undefined ? undefined : ipv4Text(blockOf(network).base + which);
}

/** Of the Service `default/kubernetes`: the first there is. */
export const apiAddress = (network: Pick<ServiceNetwork, 'cidr'>): string => ipv4Text(blockOf(network).base + 1);

/** Of the Service `kube-system/kube-dns`: the tenth. */
export const dnsAddress = (network: Pick<ServiceNetwork, 'cidr'>): string => ipv4Text(blockOf(network).base + 10);
