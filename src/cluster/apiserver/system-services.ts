import { isIPv6 } from 'node:net';
import { type Endpoints, EndpointsKind } from '../../api/core/endpoints.ts';
import { type CoreService, CoreServiceKind } from '../../api/core/service.ts';
import { type EndpointSlice, EndpointSliceKind, serviceNameLabel } from '../../api/discovery/endpoint-slice.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import type { Client } from '../../kube/client.ts';
import type { Clock } from '../../lib/clock.ts';
import { sameJson } from '../../lib/same-json.ts';
import type { Logger } from '../../observe/log.ts';

/** A Service for what is no pod: it leads to one address, where something of the platform listens. */
export interface SystemService {
  namespace: string;
  name: string;
  labels?: Readonly<Record<string, string>>;
  ports: readonly SystemPort[];
  /** Where `target` of each port is. */
  address: string;
}

export interface SystemPort {
  name: string;
  port: number;
  protocol?: 'TCP' | 'UDP';
  target: number;
}

/** How often it is looked whether they are as they should be (as in Kubernetes). */
const renewEveryMs = 10_000;

/** By which programs find the API server, which listens at `url`. */
export const kubernetesService = ({ hostname, port }: URL): SystemService => ({
  namespace: 'default',
  name: 'kubernetes',
  labels: { component: 'apiserver', provider: 'kubernetes' },
  ports: [{ name: 'https', port: 443, target: Number(port) }],
  address: hostname.replace(/[[\]]/g, ''),
});

/**
 * Keeps these Services, their EndpointSlices and Endpoints: there, and leading where they should. The returned function
 * ends that.
 */
export async function keepSystemServices(
  client: Client,
  services: readonly SystemService[],
  { clock, log }: { clock: Clock; log: Logger },
): Promise<() => void> {
  let isStopped = false;
  let cancel = () => {};
  const renew = async () => {
    for (const service of services) {
      try {
        await ensure(client, CoreServiceKind as unknown as Kind, serviceOf(service));
        await ensure(client, EndpointSliceKind as unknown as Kind, sliceOf(service));
        await ensure(client, EndpointsKind as unknown as Kind, endpointsOf(service));
      } catch (error) {
        const { name, namespace } = service;
        log.warn({ err: error, service: `${namespace}/${name}` }, 'a Service could not be written: trying again');
      }
    }
    if (!isStopped) cancel = clock.after(renewEveryMs, () => void renew()); // `renew` does not reject.
  };
  await renew();
  return () => {
    isStopped = true;
    cancel();
  };
}

async function ensure(client: Client, kind: Kind, wanted: KubeObject): Promise<void> {
  const { namespace, name } = wanted.metadata;
  const current = await client.get(kind, { ...(namespace !== undefined && { namespace }), name });
  if (!current) {
    await client.create(kind, wanted);
    return;
  }
  const { metadata, spec, ...rest } = wanted as KubeObject & Partial<CoreService>;
  const labels = { ...current.metadata.labels, ...metadata.labels };
  // Of the Service's spec the rest is the server's, or whoever's has reason to change it.
  const specOf = { ...(current as Partial<CoreService>).spec, ...spec };
  const next = { ...current, ...rest, ...(spec && { spec: specOf }), metadata: { ...current.metadata, labels } };
  if (!sameJson(partOf(next as KubeObject), partOf(current))) await client.update(kind, next as KubeObject);
}

/** What matters of each kind; a Service's other fields have defaults. */
function partOf(object: KubeObject): unknown {
  const { endpoints, metadata, ports, spec, subsets } = object as KubeObject &
    Partial<EndpointSlice> &
    Partial<Endpoints> &
    Partial<CoreService>;
  return { labels: metadata.labels, endpoints, ports, subsets, servicePorts: spec?.ports, selector: spec?.selector };
}

const serviceOf = ({ labels = {}, name, namespace, ports }: SystemService): CoreService => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace, name, labels: { ...labels } },
  spec: {
    type: 'ClusterIP',
    ports: ports.map(({ target, protocol = 'TCP', ...port }) => ({ ...port, protocol, targetPort: target })),
  },
});

const portsOf = ({ ports }: SystemService) =>
  ports.map(({ name, protocol = 'TCP', target }) => ({ name, port: target, protocol }));

const sliceOf = (service: SystemService): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { ...keyOf(service), labels: { [serviceNameLabel]: service.name } },
  addressType: isIPv6(service.address) ? 'IPv6' : 'IPv4',
  endpoints: [{ addresses: [service.address], conditions: { ready: true } }],
  ports: portsOf(service),
});

/** What older programs read instead; its label says that it mirrors no slice. */
const endpointsOf = (service: SystemService): Endpoints => ({
  apiVersion: 'v1',
  kind: 'Endpoints',
  metadata: { ...keyOf(service), labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
  subsets: [{ addresses: [{ ip: service.address }], ports: portsOf(service) }],
});

const keyOf = ({ name, namespace }: SystemService) => ({ namespace, name });
