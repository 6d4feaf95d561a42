import { type Pod, PodKind } from '../../../api/core/pod.ts';
import { type CoreService, CoreServiceKind } from '../../../api/core/service.ts';
import { type EndpointSlice, EndpointSliceKind, serviceNameLabel } from '../../../api/discovery/endpoint-slice.ts';
import { apiVersionOf } from '../../../api/kind.ts';
import { controllerReference, keyOf, siblingKey } from '../../../api/meta.ts';
import { selects } from '../../../api/selector.ts';
import { type Controller, owned, type ReconcileContext } from '../../../kube/reconciler.ts';
import { kubeController } from '../users.ts';
import { managedByLabel, publish } from './publish.ts';
import { type EndpointGroup, groupsOf } from './slices.ts';

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
  const { cache } = context;
  const pods: Pod[] = cache.list(PodKind, { namespace, labels: selector });
  const slices = cache
    .ownedBy(EndpointSliceKind, service)
    .filter((slice) => slice.metadata.labels?.[managedByLabel] === controllerName);
  await publish(context, service.metadata.name, groupsOf(service, pods), slices, (group, name) =>
    sliceOf(service, group, name),
  );
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
