import { type CoreService, CoreServiceKind } from '../../../api/core/service.ts';
import { apiVersionOf } from '../../../api/kind.ts';
import type { Revision } from '../../../api/serving/revision.ts';
import { userPortName } from './deployment.ts';
import { childLabels, podSelector } from './metadata.ts';
import { privateServiceName } from './names.ts';

/** The core Service whose EndpointSlices tell the gateway where the revision's ready pods are. */
export function makePrivateService(revision: Revision): CoreService {
  const { namespace } = revision.metadata;
  const isHttp2 = revision.spec.containers.some((container) => container.ports?.[0]?.name === 'h2c');
  return {
    apiVersion: apiVersionOf(CoreServiceKind),
    kind: CoreServiceKind.kind,
    metadata: {
      name: privateServiceName(revision),
      ...(namespace === undefined ? {} : { namespace }),
      labels: { ...childLabels(revision), 'networking.internal.knative.dev/serviceType': 'Private' },
    },
    spec: {
      type: 'ClusterIP',
      selector: podSelector(revision),
      ports: [
        {
          name: isHttp2 ? 'http2' : 'http',
          port: 80,
          protocol: 'TCP',
          targetPort: userPortName,
          appProtocol: isHttp2 ? 'kubernetes.io/h2c' : 'http',
        },
      ],
    },
  };
}
