import { isIPv6 } from 'node:net';
import { type Endpoints, EndpointsKind } from '../../../api/core/endpoints.ts';
import { CoreServiceKind } from '../../../api/core/service.ts';
import { type EndpointSlice, EndpointSliceKind, serviceNameLabel } from '../../../api/discovery/endpoint-slice.ts';
import { apiVersionOf } from '../../../api/kind.ts';
import { controllerReference, keyOf, siblingKey } from '../../../api/meta.ts';
import { type Controller, owned, type ReconcileContext } from '../../../kube/reconciler.ts';
import { kubeController } from '../users.ts';
import { managedByLabel, publish } from './publish.ts';
import type { EndpointGroup } from './slices.ts';

const controllerName = 'endpointslicemirroring-controller.k8s.io';
const skipLabel = 'endpointslice.kubernetes.io/skip-mirror';
const leaderAnnotation = 'control-plane.alpha.kubernetes.io/leader';
/** As Kubernetes' own: of each subset. */
const endpointsMax = 1_000;

type Family = EndpointSlice['addressType'];

/** Endpoints that somebody writes for a Service without a selector, as the slices that everybody reads. */
export function endpointSliceMirroringController(): Controller<Endpoints> {
  return {
    name: 'endpoint-slice-mirroring',
    user: kubeController('endpointslicemirroring-controller'),
    kind: EndpointsKind,
    watches: [{ kind: CoreServiceKind, keys: (service) => [keyOf(service)] }, owned(EndpointSliceKind, EndpointsKind)],
    reconcile,
  };
}

async function reconcile(endpoints: Endpoints, context: ReconcileContext): Promise<void> {
  const { cache } = context;
  const { name, deletionTimestamp } = endpoints.metadata;
  const slices = cache
    .ownedBy(EndpointSliceKind, endpoints)
    .filter(({ metadata }) => metadata.labels?.[managedByLabel] === controllerName);
  const isMirrored = deletionTimestamp === undefined && isToMirror(endpoints, context);
  // The kind of addresses that a slice holds is for good.
  for (const family of ['IPv4', 'IPv6'] as const) {
    const own = slices.filter(({ addressType }) => addressType === family);
    const groups = isMirrored ? groupsOf(endpoints, family) : [];
    // `publish` keeps an empty slice for a Service at zero: here nobody comes back.
    if (groups.length === 0) {
      for (const slice of own) await context.client.delete(EndpointSliceKind, keyOf(slice));
      continue;
    }
    const base = family === 'IPv4' ? `${name}-mirrored` : `${name}-mirrored-6`;
    await publish(context, base, groups, own, (group, free) => sliceOf(endpoints, group, family, free));
  }
}

function isToMirror(endpoints: Endpoints, { cache }: Pick<ReconcileContext, 'cache'>): boolean {
  const { annotations, labels } = endpoints.metadata;
  if (labels?.[skipLabel] === 'true' || annotations?.[leaderAnnotation] !== undefined) return false;
  const service = cache.get(CoreServiceKind, keyOf(endpoints));
  // What a Service selects has its slices.
  return service !== undefined && Object.keys(service.spec.selector ?? {}).length === 0;
}

function groupsOf({ subsets = [] }: Endpoints, family: Family): EndpointGroup[] {
  return subsets.flatMap(({ addresses = [], notReadyAddresses = [], ports = [] }) => {
    const all = [
      ...addresses.map((one) => ({ one, ready: true })),
      ...notReadyAddresses.map((one) => ({ one, ready: false })),
    ];
    const endpoints = all
      .filter(({ one }) => isIPv6(one.ip) === (family === 'IPv6'))
      .slice(0, endpointsMax)
      .map(({ one: { hostname, ip, nodeName, targetRef }, ready }) => ({
        addresses: [ip],
        conditions: { ready },
        ...(hostname && { hostname }),
        ...(nodeName && { nodeName }),
        ...(targetRef && { targetRef }),
      }));
    const named = ports.map(({ name = '', port, protocol = 'TCP', appProtocol }) => ({
      name,
      port,
      protocol,
      ...(appProtocol && { appProtocol }),
    }));
    return endpoints.length === 0 ? [] : [{ ports: named, endpoints }];
  });
}

function sliceOf(endpoints: Endpoints, group: EndpointGroup, addressType: Family, name: string): EndpointSlice {
  return {
    apiVersion: apiVersionOf(EndpointSliceKind),
    kind: EndpointSliceKind.kind,
    metadata: {
      ...siblingKey(endpoints, name),
      labels: {
        ...endpoints.metadata.labels,
        [serviceNameLabel]: endpoints.metadata.name,
        [managedByLabel]: controllerName,
      },
      ownerReferences: [controllerReference(endpoints)],
    },
    addressType,
    ports: group.ports,
    endpoints: group.endpoints,
  };
}
