import { type Endpoints, EndpointsKind } from '../../api/core/endpoints.ts';
import { type CoreService, CoreServiceKind } from '../../api/core/service.ts';
import { type EndpointSlice, EndpointSliceKind, serviceNameLabel } from '../../api/discovery/endpoint-slice.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import type { Client } from '../../kube/client.ts';
import type { Clock } from '../../lib/clock.ts';
import { sameJson } from '../../lib/same-json.ts';
import type { Logger } from '../../observe/log.ts';

/** How often it is looked whether they are as they should be (as in Kubernetes). */
const renewEveryMs = 10_000;

const key = { namespace: 'default', name: 'kubernetes' };

/**
 * Keeps the Service `default/kubernetes`, its EndpointSlice and Endpoints, by which programs find the API server:
 * there, and leading to where it listens. The returned function ends that.
 */
export async function keepKubernetesService(
  client: Client,
  { hostname, port }: URL,
  { clock, log }: { clock: Clock; log: Logger },
): Promise<() => void> {
  let isStopped = false;
  let cancel = () => {};
  const renew = async () => {
    try {
      await ensure(client, CoreServiceKind as unknown as Kind, serviceOf(Number(port)));
      await ensure(client, EndpointSliceKind as unknown as Kind, sliceOf(hostname, Number(port)));
      await ensure(client, EndpointsKind as unknown as Kind, endpointsOf(hostname, Number(port)));
    } catch (error) {
      log.warn({ err: error }, 'the Service default/kubernetes could not be written: trying again');
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
  const current = await client.get(kind, key);
  if (!current) {
    await client.create(kind, wanted);
    return;
  }
  const { metadata, ...rest } = wanted;
  const labels = { ...current.metadata.labels, ...metadata.labels };
  const next = { ...current, ...rest, metadata: { ...current.metadata, labels } } as KubeObject;
  if (!sameJson(partOf(next), partOf(current))) await client.update(kind, next);
}

/** What matters of either kind; a Service's other fields have defaults. */
function partOf(object: KubeObject): unknown {
  const { endpoints, metadata, ports, spec, subsets } = object as KubeObject &
    Partial<EndpointSlice> &
    Partial<Endpoints> &
    Partial<CoreService>;
  return { labels: metadata.labels, endpoints, ports, subsets, servicePorts: spec?.ports };
}

const serviceOf = (port: number): CoreService => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { ...key, labels: { component: 'apiserver', provider: 'kubernetes' } },
  spec: { type: 'ClusterIP', ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: port }] },
});

const sliceOf = (host: string, port: number): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { ...key, labels: { [serviceNameLabel]: key.name } },
  addressType: host.startsWith('[') ? 'IPv6' : 'IPv4',
  endpoints: [{ addresses: [addressOf(host)], conditions: { ready: true } }],
  ports: [{ name: 'https', port, protocol: 'TCP' }],
});

/** What older programs read instead; its label says that it mirrors no slice. */
const endpointsOf = (host: string, port: number): Endpoints => ({
  apiVersion: 'v1',
  kind: 'Endpoints',
  metadata: { ...key, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
  subsets: [{ addresses: [{ ip: addressOf(host) }], ports: [{ name: 'https', port, protocol: 'TCP' }] }],
});

/** Of a URL's host. */
const addressOf = (host: string) => host.replace(/[[\]]/g, '');
