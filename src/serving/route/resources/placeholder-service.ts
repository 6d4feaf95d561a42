import { type CoreService, CoreServiceKind } from '../../../api/core/service.ts';
import { apiVersionOf } from '../../../api/kind.ts';
import { clusterDomain } from '../../../api/names.ts';
import { gatewayServiceName, labels, systemNamespace } from '../../../api/serving/names.ts';
import type { Route } from '../../../api/serving/route.ts';
import { inheritedMetadata } from '../../child-metadata.ts';

/** The name of the gateway inside the cluster. */
export const gatewayHost = `${gatewayServiceName}.${systemNamespace}.${clusterDomain}`;

export const placeholderName = ({ metadata: { name } }: Route, tag: string | undefined): string =>
  tag === undefined ? name : `${tag}-${name}`;

/** The core Service that gives a Route's cluster-local name to DNS: it points to the gateway. */
export function makePlaceholderService(route: Route, tag: string | undefined): CoreService {
  const inherited = inheritedMetadata(route);
  return {
    apiVersion: apiVersionOf(CoreServiceKind),
    kind: CoreServiceKind.kind,
    metadata: {
      ...inherited,
      name: placeholderName(route, tag),
      labels: { ...inherited.labels, [labels.route]: route.metadata.name },
    },
    spec: {
      type: 'ExternalName',
      externalName: gatewayHost,
      sessionAffinity: 'None',
      ports: [{ name: 'http2', port: 80, protocol: 'TCP', targetPort: 80 }],
    },
  };
}
