import { type CoreService, CoreServiceKind } from '../../../api/core/service.ts';
import { apiVersionOf } from '../../../api/kind.ts';
import type { Revision } from '../../../api/serving/revision.ts';
import { userPort } from './deployment.ts';
import { childLabels, podSelector } from './metadata.ts';
import { serviceName, servicePort } from './names.ts';

/**
 * The core Service that an Ingress names for the revision: its EndpointSlices say where the ready pods are. The target
 * port is a number, as other gateways read it from here (net-kourier) and not from the slices.
 */
export function makeService(revision: Revision): CoreService {
  const { namespace } = revision.metadata;
  const isHttp2 = revision.spec.containers.some((container) => container.ports?.[0]?.name === 'h2c');
  return {
    apiVersion: apiVersionOf(CoreServiceKind),
    kind: CoreServiceKind.kind,
    metadata: {
      name: serviceName(revision),
      ...(namespace === undefined ? {} : { namespace }),
      labels: { ...childLabels(revision), 'networking.internal.knative.dev/serviceType': 'Public' },
    },
    spec: {
      type: 'ClusterIP',
      selector: podSelector(revision),
      ports: [
        {
          name: isHttp2 ? 'http2' : 'http',
          port: servicePort,
          protocol: 'TCP',
          targetPort: userPort(revision),
          appProtocol: isHttp2 ? 'kubernetes.io/h2c' : 'http',
        },
      ],
    },
  };
}
