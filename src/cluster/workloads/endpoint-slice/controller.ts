import { type Pod, PodKind } from '../../../api/core/pod.ts';
import { type CoreService, CoreServiceKind } from '../../../api/core/service.ts';
import { type EndpointSlice, EndpointSliceKind, serviceNameLabel } from '../../../api/discovery/endpoint-slice.ts';
import { apiVersionOf } from '../../../api/kind.ts';
import { controllerReference, keyOf, siblingKey } from '../../../api/meta.ts';
import { selects } from '../../../api/selector.ts';
import { type Controller, owned, type ReconcileContext } from '../../../kube/reconciler.ts';
import { kubeController } from '../users.ts';
import { type EndpointGroup, fitSlices, groupsOf } from './slices.ts';

const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
const controllerName = 'endpointslice-controller.k8s.io';

/** Publishes the addresses of the pods that a Service selects. */
export function endpointSliceController(): Controller<CoreService> {
  return {
    name: 'endpoint-slice',
    user: kubeController('endpointslice-controller'),
    kind: CoreServiceKind,
    watches: [
      {
        kind: PodKind,
        keys(pod, cache) {
          const { namespace, labels } = pod.metadata;
          if (namespace === undefined) return [];
          return cache
            .list(CoreServiceKind, { namespace })
            .filter(({ spec }) => spec.selector && selects({ matchLabels: spec.selector }, labels))
            .map(keyOf);
        },
      },
      owned(EndpointSliceKind, CoreServiceKind),
    ],
    reconcile,
  };
}

async function reconcile(service: CoreService, context: ReconcileContext): Promise<void> {
  const { selector, type } = service.spec;
  const { namespace, deletionTimestamp } = service.metadata;
  // Without a selector the slices are somebody else's.
  if (!selector || type === 'ExternalName' || namespace === undefined || deletionTimestamp !== undefined) return;
  const { cache, client } = context;
  const pods: Pod[] = cache.list(PodKind, { namespace, labels: selector });
  const slices = cache
    .ownedBy(EndpointSliceKind, service)
    .filter((slice) => slice.metadata.labels?.[managedByLabel] === controllerName)
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const { update, create, remove } = fitSlices(groupsOf(service, pods), slices);
  const taken = new Set(slices.map((slice) => slice.metadata.name));
  await Promise.all([
    ...update.map((slice) => client.update(EndpointSliceKind, slice)),
    ...create.map((group) => client.create(EndpointSliceKind, sliceOf(service, group, freeName(service, taken)))),
    ...remove.map((slice) => client.delete(EndpointSliceKind, keyOf(slice))),
  ]);
}

/** `<service>-1` and so on: creating one twice, from a cache that is behind, then fails instead of publishing twice. */
function freeName(service: CoreService, taken: Set<string>): string {
  for (let i = 1; ; i++) {
    const name = `${service.metadata.name}-${i}`;
    if (taken.has(name)) continue;
    taken.add(name);
    return name;
  }
}

function sliceOf(service: CoreService, group: EndpointGroup, name: string): EndpointSlice {
  const { labels, name: serviceName } = service.metadata;
  return {
    apiVersion: apiVersionOf(EndpointSliceKind),
    kind: EndpointSliceKind.kind,
    metadata: {
      ...siblingKey(service, name),
      labels: {
        ...labels,
        [serviceNameLabel]: serviceName,
        [managedByLabel]: controllerName,
        ...(service.spec.clusterIP === 'None' && { 'service.kubernetes.io/headless': '' }),
      },
      ownerReferences: [controllerReference(service)],
    },
    addressType: 'IPv4',
    ports: group.ports,
    endpoints: group.endpoints,
  };
}
