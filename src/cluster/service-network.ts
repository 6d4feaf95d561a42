import { assert } from '../lib/errors.ts';
import { type Ipv4Block, ipv4Block, ipv4Text } from '../lib/ipv4.ts';

/** What the addresses and node ports of Services are taken from. */
export interface ServiceNetwork {
  /** For example `10.96.0.0/16`. */
  cidr: string;
  nodePorts: { first: number; last: number };
}

export const defaultServiceNetwork: ServiceNetwork = {
  cidr: '10.96.0.0/16',
  nodePorts: { first: 30_000, last: 32_767 },
};

export function blockOf({ cidr }: Pick<ServiceNetwork, 'cidr'>): Ipv4Block {
  const block = ipv4Block(cidr);
  assert(block && block.size >= 16, `${cidr} is a block of at least 16 IPv4 addresses`);
  return block;
}

/** Of the Service `default/kubernetes`: the first there is. */
export const apiAddress = (network: Pick<ServiceNetwork, 'cidr'>): string => ipv4Text(blockOf(network).base + 1);

/** Of the Service `kube-system/kube-dns`: the tenth. */
export const dnsAddress = (network: Pick<ServiceNetwork, 'cidr'>): string => ipv4Text(blockOf(network).base + 10);
