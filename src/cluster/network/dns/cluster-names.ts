import { isIPv4 } from 'node:net';
import type { CoreService } from '../../../api/core/service.ts';
import { headless } from '../../../api/core/service-spec.ts';
import type { Endpoint, EndpointSlice } from '../../../api/discovery/endpoint-slice.ts';
import { serviceNameLabel } from '../../../api/discovery/endpoint-slice.ts';
import { canonicalAddress } from './reverse.ts';

/** An endpoint as DNS tells of it. */
export interface NamedEndpoint {
  /** Its hostname, or its address with dashes. */
  host: string;
  address: string;
  ports: readonly { name: string; port: number; protocol: string }[];
}

/** What DNS knows of the cluster. Keys are `namespace/name`, in lower case as Kubernetes has them. */
export interface ClusterNames {
  hasNamespace(namespace: string): boolean;
  service(namespace: string, name: string): CoreService | undefined;
  /** The ready ones. */
  endpoints(namespace: string, name: string): readonly NamedEndpoint[];
  /** What has this address: `host` where it is an endpoint. */
  owners(address: string): readonly AddressOwner[];
  /** Grows with each change. */
  readonly serial: number;
}

export interface AddressOwner {
  namespace: string;
  service: string;
  host?: string;
}

/**
 * The cluster's names, kept up with what changes. Owners are found by address; of Services with an address of their own
 * that is the only one that leads back to them, of headless ones it is those of their endpoints.
 */
export class NameIndex implements ClusterNames {
  serial = 1;
  readonly #namespaces = new Set<string>();
  readonly #services = new Map<string, CoreService>();
  /** By Service: its slices by their names. */
  readonly #slices = new Map<string, Map<string, EndpointSlice>>();
  readonly #byAddress = new Map<string, Map<string, AddressOwner>>();
  /** What of a Service is in `#byAddress`. */
  readonly #told = new Map<string, string[]>();

  setNamespace(name: string, isThere: boolean): void {
    this.serial++;
    if (isThere) this.#namespaces.add(name);
    else this.#namespaces.delete(name);
  }

  setService(key: string, service: CoreService | undefined): void {
    this.serial++;
    if (service) this.#services.set(key, service);
    else this.#services.delete(key);
    this.#tellOwners(key);
  }

  /** `next` in the place of `old`; either may be of no Service at all. */
  setSlice(old: EndpointSlice | undefined, next: EndpointSlice | undefined): void {
    this.serial++;
    const [before, now] = [serviceOf(old), serviceOf(next)];
    if (old && before !== undefined) {
      const slices = this.#slices.get(before);
      slices?.delete(old.metadata.name);
      if (slices?.size === 0) this.#slices.delete(before);
    }
    if (next && now !== undefined) {
      const slices = this.#slices.get(now) ?? new Map<string, EndpointSlice>();
      slices.set(next.metadata.name, next);
      this.#slices.set(now, slices);
    }
    for (const key of new Set([before, now])) if (key !== undefined) this.#tellOwners(key);
  }

  hasNamespace(namespace: string): boolean {
    return this.#namespaces.has(namespace);
  }

  service(namespace: string, name: string): CoreService | undefined {
    return this.#services.get(`${namespace}/${name}`);
  }

  endpoints(namespace: string, name: string): readonly NamedEndpoint[] {
    const byAddress = new Map<string, NamedEndpoint>();
    const service = this.service(namespace, name);
    const publishesAll = service?.spec.publishNotReadyAddresses === true;
    for (const { addressType, endpoints, ports = [] } of this.#slices.get(`${namespace}/${name}`)?.values() ?? []) {
      if (addressType === 'FQDN') continue;
      const named = ports.flatMap(({ name: portName = '', port, protocol = 'TCP' }) =>
        port === undefined ? [] : [{ name: portName, port, protocol }],
      );
      for (const endpoint of endpoints) {
        const [first] = endpoint.addresses;
        const address = first === undefined ? undefined : canonicalAddress(first);
        if (address === undefined || !(publishesAll || endpoint.conditions?.ready !== false)) continue;
        const known = byAddress.get(address);
        byAddress.set(address, {
          host: known?.host ?? hostOf(endpoint, address),
          address,
          ports: [...(known?.ports ?? []), ...named],
        });
      }
    }
    return [...byAddress.values()];
  }

  owners(address: string): readonly AddressOwner[] {
    return [...(this.#byAddress.get(address)?.values() ?? [])];
  }

  #tellOwners(key: string): void {
    for (const address of this.#told.get(key) ?? []) {
      const owners = this.#byAddress.get(address);
      owners?.delete(key);
      if (owners?.size === 0) this.#byAddress.delete(address);
    }
    this.#told.delete(key);
    const service = this.#services.get(key);
    if (!service || service.spec.type === 'ExternalName') return;
    const { namespace = '', name } = service.metadata;
    const { clusterIPs = [] } = service.spec;
    const owned =
      clusterIPs[0] === headless
        ? this.endpoints(namespace, name).map(
            ({ address, host }) => [address, { namespace, service: name, host }] as const,
          )
        : clusterIPs.map((address) => [canonicalAddress(address) ?? '', { namespace, service: name }] as const);
    for (const [address, owner] of owned) {
      const owners = this.#byAddress.get(address) ?? new Map<string, AddressOwner>();
      owners.set(key, owner);
      this.#byAddress.set(address, owners);
    }
    if (owned.length > 0)
      this.#told.set(
        key,
        owned.map(([address]) => address),
      );
  }
}

function serviceOf(slice: EndpointSlice | undefined): string | undefined {
  const name = slice?.metadata.labels?.[serviceNameLabel];
  return name === undefined ? undefined : `${slice?.metadata.namespace ?? ''}/${name}`;
}

const hostOf = ({ hostname }: Endpoint, address: string): string => hostname || dashed(address);

/** `10-244-0-7`, or `fd00--7`. */
export const dashed = (address: string): string => address.replace(isIPv4(address) ? /\./g : /:/g, '-');
