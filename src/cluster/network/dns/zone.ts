/** What DNS says of the cluster: Kubernetes' DNS specification 1.1, and what CoreDNS does where that leaves it open. */
import { isIP } from 'node:net';
import { headless } from '../../../api/core/service-spec.ts';
import type { AddressOwner, ClusterNames, NamedEndpoint } from './cluster-names.ts';
import { addressOfDashed, addressOfReverse } from './reverse.ts';
import { classes, type Rcode, rcodes, types } from './wire/constants.ts';
import { folded, type Name, nameOf } from './wire/name.ts';
import type { Question } from './wire/query.ts';
import type { ResourceRecord } from './wire/reply.ts';

export interface Zone {
  /** For example `cluster.local`. */
  domain: Name;
  /** Where this server is reached. */
  serverAddress: string;
  names: ClusterNames;
  /** Whether nobody but the cluster can know what has this address. */
  isOurs(address: string): boolean;
}

/** `elsewhere`: somebody else knows the name, and after `answers` (which lead there) so do they the rest. */
export type Answer =
  | {
      is: 'ours';
      rcode: Rcode;
      answers: readonly ResourceRecord[];
      authorities?: readonly ResourceRecord[];
      additional?: readonly ResourceRecord[];
    }
  | { is: 'elsewhere'; name: Name; answers: readonly ResourceRecord[] };

/** Seconds: as CoreDNS. */
const ttl = 5;
/** How far names may lead on within the cluster. */
const linksMax = 8;
const version = '1.1.0';

/** Answers from what is known, at once. */
export function answer(zone: Zone, question: Question): Answer {
  if (question.class !== classes.IN) return ours(rcodes.REFUSED);
  if (question.type === types.AXFR || question.type === types.IXFR) return ours(rcodes.REFUSED);
  const answers: ResourceRecord[] = [];
  let name = question.name;
  for (let links = 0; links <= linksMax; links++) {
    const found = lookUp(zone, name, question.type);
    if (found.is === 'elsewhere') {
      // A question for everything is one for as much as possible: outside nobody needs it (RFC 8482).
      if (question.type === types.ANY && links === 0) return ours(rcodes.REFUSED);
      return { is: 'elsewhere', name, answers };
    }
    if (found.is === 'link') {
      answers.push({ type: 'CNAME', name, target: found.target, ttl });
      if (question.type === types.CNAME || question.type === types.ANY) return { ...ours(rcodes.NOERROR), answers };
      name = found.target;
      continue;
    }
    const records = found.records.map((record) => ({ ...record, name: record.name ?? name, ttl }) as ResourceRecord);
    if (records.length > 0) return { ...ours(rcodes.NOERROR), answers: [...answers, ...records], ...more(found) };
    const rcode = found.exists ? rcodes.NOERROR : rcodes.NXDOMAIN;
    return { ...ours(rcode), answers, authorities: [startOf(zone)] };
  }
  return ours(rcodes.SERVFAIL);
}

const ours = (rcode: Rcode): Answer & { is: 'ours' } => ({ is: 'ours', rcode, answers: [] });

/** A record of the name that was asked for, unless it says another. */
type Data = Distribute<ResourceRecord>;
type Distribute<R> = R extends ResourceRecord ? Omit<R, 'name' | 'ttl'> & { name?: Name } : never;

interface Found {
  is: 'records';
  /** Whether there is anything of that name, or below it. */
  exists: boolean;
  records: readonly Data[];
  additional?: readonly ResourceRecord[];
}
type LookedUp = Found | { is: 'link'; target: Name } | { is: 'elsewhere' };

const nothing: Found = { is: 'records', exists: false, records: [] };
const noData: Found = { ...nothing, exists: true };
const found = (records: readonly Data[], additional?: readonly ResourceRecord[]): Found => ({
  ...noData,
  records,
  ...(additional && { additional }),
});

const more = ({ additional }: Found) => (additional ? { additional } : {});

function lookUp(zone: Zone, asked: Name, type: number): LookedUp {
  const name = folded(asked);
  const { domain } = zone;
  const below = name.length - domain.length;
  if (below >= 0 && domain.every((label, i) => label === name[below + i])) {
    return inDomain(zone, name.slice(0, below), type);
  }
  const address = addressOfReverse(name);
  return address === undefined ? { is: 'elsewhere' } : reverse(zone, address, type);
}

/** `labels` are those before the cluster's domain: `[…, name, namespace, 'svc']`. */
function inDomain(zone: Zone, labels: Name, type: number): LookedUp {
  const [kind, ...path] = [...labels].reverse();
  switch (kind) {
    case undefined:
      return apex(zone, type);
    case 'svc':
      return inServices(zone, path, type);
    case 'pod':
      return inPods(zone, path, type);
    case 'dns':
      return inDns(zone, path, type);
    case 'dns-version':
      if (path.length > 0) return nothing;
      return type === types.TXT ? found([{ type: 'TXT', text: version }]) : noData;
    default:
      return nothing;
  }
}

function apex(zone: Zone, type: number): Found {
  const { name: _, ttl: __, ...start } = startOf(zone);
  if (type === types.SOA) return found([start as Data]);
  if (type !== types.NS) return noData;
  const target = serverName(zone);
  return found([{ type: 'NS', target }], addressRecords(target, [zone.serverAddress]));
}

/** `ns.dns.DOMAIN` is this server. */
function inDns(zone: Zone, [host, ...rest]: Name, type: number): Found {
  if (host === undefined) return noData;
  return host === 'ns' && rest.length === 0 ? found(addresses([zone.serverAddress], type)) : nothing;
}

/** `a-b-c-d.namespace.pod`: the address is in the name, so nobody is told what pods there are. */
function inPods({ names }: Zone, [namespace, host, ...rest]: Name, type: number): Found {
  if (namespace === undefined) return noData;
  if (!names.hasNamespace(namespace)) return nothing;
  if (host === undefined) return noData;
  const address = rest.length === 0 ? addressOfDashed(host) : undefined;
  return address === undefined ? nothing : found(addresses([address], type));
}

function inServices(zone: Zone, [namespace, name, ...path]: Name, type: number): LookedUp {
  const { names } = zone;
  if (namespace === undefined) return noData;
  if (name === undefined) return names.hasNamespace(namespace) ? noData : nothing;
  const service = names.service(namespace, name);
  if (!service) return nothing;
  const { clusterIPs = [], externalName = '', ports = [] } = service.spec;
  if (service.spec.type === 'ExternalName') {
    if (path.length > 0) return nothing;
    // An address is no name.
    return isIP(externalName) === 0 ? { is: 'link', target: nameOf(externalName) } : noData;
  }
  const isHeadless = clusterIPs[0] === headless;
  const endpoints = names.endpoints(namespace, name);
  const self = serviceName(zone, namespace, name);
  const [first, second, ...rest] = path;
  if (rest.length > 0) return nothing;
  const portsOf = (protocol: string | undefined, port: string | undefined): Found => {
    const isWanted = (candidate: { name?: string; protocol?: string }) =>
      (port === undefined || `_${candidate.name ?? ''}` === port) &&
      (protocol === undefined || `_${(candidate.protocol ?? 'TCP').toLowerCase()}` === protocol);
    if (isHeadless) return endpointServices(self, endpoints, isWanted, type);
    const wanted = ports.filter(isWanted);
    if (wanted.length === 0) return nothing;
    if (type !== types.SRV) return noData;
    const records = wanted.map(({ port: number }) => srv(number, 100, self));
    return found(records, addressRecords(self, clusterIPs));
  };
  if (first === undefined) {
    if (type === types.SRV) return portsOf(undefined, undefined);
    if (!isHeadless) return found(addresses(clusterIPs, type));
    return endpoints.length === 0 ? nothing : found(addresses(shuffled(endpoints.map(({ address }) => address)), type));
  }
  if (first.startsWith('_')) {
    const all = portsOf(first, second);
    return second === undefined && all.exists ? noData : all;
  }
  if (second !== undefined) return nothing;
  const hosts = endpoints.filter(({ host }) => host.toLowerCase() === first).map(({ address }) => address);
  return hosts.length === 0 ? nothing : found(addresses(hosts, type));
}

function endpointServices(
  self: Name,
  endpoints: readonly NamedEndpoint[],
  isWanted: (port: { name?: string; protocol?: string }) => boolean,
  type: number,
): Found {
  const offered = endpoints.flatMap((endpoint) =>
    endpoint.ports.filter(isWanted).map(({ port }) => ({ endpoint, port })),
  );
  if (offered.length === 0) return nothing;
  if (type !== types.SRV) return noData;
  const weight = Math.max(1, Math.floor(100 / offered.length));
  const targetOf = ({ host }: NamedEndpoint) => [host, ...self];
  return found(
    shuffled(offered).map(({ endpoint, port }) => srv(port, weight, targetOf(endpoint))),
    [...new Set(offered.map(({ endpoint }) => endpoint))].flatMap((endpoint) =>
      addressRecords(targetOf(endpoint), [endpoint.address]),
    ),
  );
}

const srv = (port: number, weight: number, target: Name): Data => ({ type: 'SRV', priority: 0, weight, port, target });

function reverse(zone: Zone, address: string, type: number): LookedUp {
  const owners = zone.names.owners(address);
  if (owners.length > 0) {
    if (type !== types.PTR && type !== types.ANY) return noData;
    return found(owners.map((owner): Data => ({ type: 'PTR', target: ownerName(zone, owner) })));
  }
  return zone.isOurs(address) ? nothing : { is: 'elsewhere' };
}

function ownerName(zone: Zone, { host, namespace, service }: AddressOwner): Name {
  const name = serviceName(zone, namespace, service);
  return host === undefined ? name : [host, ...name];
}

const serviceName = ({ domain }: Zone, namespace: string, name: string): Name => [name, namespace, 'svc', ...domain];

const serverName = ({ domain }: Zone): Name => ['ns', 'dns', ...domain];

const startOf = (zone: Zone): ResourceRecord => ({
  type: 'SOA',
  name: zone.domain,
  ttl,
  primary: serverName(zone),
  mailbox: ['hostmaster', ...zone.domain],
  serial: zone.names.serial % 2 ** 32,
  timers: [7200, 1800, 86_400, ttl],
});

function addresses(all: readonly string[], type: number): Data[] {
  return all.flatMap((address): Data[] => {
    const record = isIP(address) === 4 ? 'A' : 'AAAA';
    return type === types[record] || type === types.ANY ? [{ type: record, address }] : [];
  });
}

const addressRecords = (name: Name, all: readonly string[]): ResourceRecord[] =>
  [...addresses(all, types.A), ...addresses(all, types.AAAA)].map((data) => ({ ...data, name, ttl }) as ResourceRecord);

/** So that clients that take the first do not all take the same. */
function shuffled<T>(items: readonly T[]): T[] {
  const all = [...items];
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [all[i], all[j]] = [all[j] as T, all[i] as T];
  }
  return all;
}
