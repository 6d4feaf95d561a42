import { type CoreService, CoreServiceKind } from '../../../api/core/service.ts';
import { apiVersionOf } from '../../../api/kind.ts';
import { siblingKey } from '../../../api/meta.ts';
import type { Revision } from '../../../api/serving/revision.ts';
import { speaksHttp2, userPort } from './deployment.ts';
import { childLabels, podSelector } from './metadata.ts';
import { serviceName, servicePort } from './names.ts';

/**
 * The core Service that an Ingress names for the revision: its EndpointSlices say where the ready pods are. The target
 * port is a number, as other gateways read it from here (net-kourier) and not from the slices.
 */
export function makeService(revision: Revision): CoreService {
  const isHttp2 = speaksHttp2(revision);
  return {
    apiVersion: apiVersionOf(CoreServiceKind),
    kind: CoreServiceKind.kind,
    metadata: {
      ...siblingKey(revision, serviceName(revision)),
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
