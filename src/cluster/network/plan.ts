import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ipv4Text } from '../../lib/ipv4.ts';
import { readJsonFile, writeJsonFile } from '../../lib/json-file.ts';
import { apiAddress, dnsAddress } from '../service-network.ts';
import { type Cidr, cidrText, overlap, parseCidr, partsOf } from './cidr.ts';
import { networkErrors } from './errors.ts';
import { readRoutes } from './routes.ts';

/** What a platform's network is made of: names that no other on the machine has, and ranges that are free. */
export interface NetworkPlan {
  /** Of the platform among those of this machine, and part of every name: 6 hexadecimal digits of its data folder. */
  id: string;
  /** Where the network keeps what it must know after a restart. */
  folder: string;
  /** Of the pods of this node. */
  podRange: Cidr;
  /** Of all pods: what leaves it takes the machine's own address. */
  clusterRange: Cidr;
  serviceRange: Cidr;
  /** The host as pods see it: the first address of `podRange`. */
  gatewayAddress: string;
  /** Of the Service default/kubernetes: the first of `serviceRange`. */
  apiAddress: string;
  /** Of the cluster's DNS: the tenth of `serviceRange`. */
  dnsAddress: string;
}

export interface PlanOptions {
  /** The platform's. */
  dataDir: string;
  /** Each node's pods get a /24 of it; 10.244.0.0/16 unless given. */
  clusterRange?: string | undefined;
  /** Else a /16 of 10.96.0.0/12: the one of the last start, or the first that is free. */
  serviceRange?: string | undefined;
  /** Where the platforms of this machine say which ranges they have, until it is started anew. */
  claimsDir?: string;
  routes?: () => readonly Route[];
}

/** A range that this machine reaches through that interface. */
export interface Route {
  range: Cidr;
  through: string;
}

const defaultClusterRange = '10.244.0.0/16';
const defaultServiceRanges = '10.96.0.0/12';
const nodePrefix = 24;
const servicePrefix = 16;

export const networkFolder = (dataDir: string) => join(dataDir, 'network');

/**
 * The same each time while the platform has its ranges; what it had before is tried first. Ranges of other platforms,
 * and those that the machine has routes for, are left alone: but for routes wider than the whole range, which lead to
 * all the world or a company, and which ours go before.
 * Errors: ADDRESS_RANGE_INVALID, ADDRESS_RANGE_TAKEN.
 */
export function planNetwork(options: PlanOptions): NetworkPlan {
  const { claimsDir = defaultClaimsDir, clusterRange, serviceRange } = options;
  const dataDir = existsSync(options.dataDir) ? realpathSync(options.dataDir) : resolve(options.dataDir);
  const id = createHash('sha256').update(dataDir).digest('hex').slice(0, 6);
  const folder = networkFolder(dataDir);
  mkdirSync(folder, { recursive: true });
  mkdirSync(claimsDir, { recursive: true });
  const routes = (options.routes ?? readRoutes)();
  const claims = claimsIn(claimsDir);
  const last = (readJsonFile(join(folder, 'ranges.json')) ?? {}) as { podRange?: unknown; serviceRange?: unknown };
  const claim = { id, dataDir };
  const pods = rangeOf('the pod range', clusterRange ?? defaultClusterRange, nodePrefix);
  const services = rangeOf('the service range', serviceRange ?? defaultServiceRanges, nodePrefix);
  const world = { claims, claimsDir, routes, claim };
  const podRange = take(world, 'the pod range', pods, nodePrefix, last.podRange);
  const lastServices = typeof last.serviceRange === 'string' ? parseCidr(last.serviceRange) : undefined;
  // Services keep their addresses from one start to the next, so their range cannot be another one then.
  const isKept = serviceRange === undefined && lastServices !== undefined && overlap(services, lastServices);
  const among = isKept ? lastServices : services;
  const prefix = serviceRange === undefined ? servicePrefix : services.prefix;
  const ourServices = take(world, 'the service range', among, prefix, undefined);
  const ranges = { podRange: cidrText(podRange), serviceRange: cidrText(ourServices) };
  if (last.podRange !== ranges.podRange || last.serviceRange !== ranges.serviceRange) {
    writeJsonFile(join(folder, 'ranges.json'), ranges);
  }
  return {
    id,
    folder,
    podRange,
    clusterRange: pods,
    serviceRange: ourServices,
    gatewayAddress: ipv4Text(podRange.first + 1),
    apiAddress: apiAddress({ cidr: ranges.serviceRange }),
    dnsAddress: dnsAddress({ cidr: ranges.serviceRange }),
  };
}

/** Gives the ranges back, when nothing of the platform's network is left. */
export function releaseRanges({ id }: Pick<NetworkPlan, 'id'>, claimsDir = defaultClaimsDir): void {
  for (const { path, claim } of everyClaim(claimsDir)) if (claim.id === id) rmSync(path, { force: true });
}

export function releaseRange(range: Cidr, claimsDir = defaultClaimsDir): void {
  rmSync(join(claimsDir, cidrText(range).replace('/', '-')), { force: true });
}

/** The ranges of platforms that were killed, whose folders are gone: only others can take away what they have left. */
export function leftClaims(claimsDir = defaultClaimsDir): { id: string; range: Cidr }[] {
  return everyClaim(claimsDir)
    .filter(({ claim }) => /^[0-9a-f]{6}$/.test(claim.id) && !existsSync(networkFolder(claim.dataDir)))
    .map(({ claim: { id }, range }) => ({ id, range }));
}

const defaultClaimsDir = '/run/kittiwake/ranges';

interface Claim {
  id: string;
  dataDir: string;
}

interface World {
  claims: readonly { range: Cidr; path: string; claim: Claim }[];
  claimsDir: string;
  routes: readonly Route[];
  claim: Claim;
}

/** The claims of platforms that are still there. */
const claimsIn = (claimsDir: string) =>
  everyClaim(claimsDir).filter(({ claim }) => existsSync(networkFolder(claim.dataDir)));

/** Each is a file named after its range. */
function everyClaim(claimsDir: string): World['claims'] {
  if (!existsSync(claimsDir)) return [];
  return readdirSync(claimsDir).flatMap((name) => {
    const range = parseCidr(name.replace('-', '/'));
    const path = join(claimsDir, name);
    const claim = readJsonFile(path) as Claim | undefined;
    if (!range || typeof claim?.id !== 'string' || typeof claim.dataDir !== 'string') return [];
    return [{ range, path, claim }];
  });
}

function take(world: World, field: string, within: Cidr, prefix: number, last: unknown): Cidr {
  const lastRange = typeof last === 'string' ? parseCidr(last) : undefined;
  const isStillOne = lastRange?.prefix === prefix && overlap(within, lastRange);
  const candidates = [...(isStillOne ? [lastRange] : []), ...partsOf(within, prefix)];
  const own = world.claims.find(({ claim, range }) => claim.id === world.claim.id && isOneOf(candidates, range));
  if (own) return own.range;
  let by = '';
  for (const range of candidates) {
    const taker = takerOf(world, within, range);
    if (taker === undefined && claimFor(world, range)) return range;
    by ||= taker ?? 'another platform that is just starting';
  }
  throw networkErrors.ADDRESS_RANGE_TAKEN({ field, range: cidrText(within), by });
}

const isOneOf = (ranges: readonly Cidr[], { first, prefix }: Cidr) =>
  ranges.some((range) => range.first === first && range.prefix === prefix);

function takerOf({ claims, claim, routes }: World, within: Cidr, range: Cidr): string | undefined {
  const other = claims.find((each) => each.claim.id !== claim.id && overlap(each.range, range));
  if (other) return `the platform of ${other.claim.dataDir}`;
  const isOurs = ({ through }: Route) => through.startsWith(`kw-${claim.id}`) || through.startsWith(`kw${claim.id}-`);
  const route = routes.find(
    (each) => each.range.prefix >= within.prefix && overlap(each.range, range) && !isOurs(each),
  );
  return route && `the route to ${cidrText(route.range)} through ${route.through}`;
}

/** False when another platform was faster. */
function claimFor({ claimsDir, claim }: World, range: Cidr): boolean {
  const path = join(claimsDir, cidrText(range).replace('/', '-'));
  const of = readJsonFile(path) as Claim | undefined;
  // Of a platform whose folder is gone.
  if (typeof of?.dataDir !== 'string' || !existsSync(networkFolder(of.dataDir))) rmSync(path, { force: true });
  try {
    writeFileSync(path, JSON.stringify(claim), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function rangeOf(field: string, value: string, longestPrefix: number): Cidr {
  const range = parseCidr(value);
  if (range !== undefined && range.prefix >= 8 && range.prefix <= longestPrefix) return range;
  const rule = `a range of IPv4 addresses from /8 to /${longestPrefix}, such as ${defaultClusterRange}`;
  throw networkErrors.ADDRESS_RANGE_INVALID({ field, value, rule });
}
