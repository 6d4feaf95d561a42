import { type CoreService, CoreServiceKind } from '../../../api/core/service.ts';
import { table } from '../http/table/column.ts';
import type { Strategy } from '../strategy.ts';
import { list, selectorOf } from './cells.ts';

export const services: Strategy<CoreService> = {
  kind: CoreServiceKind,
  selectableFields: { 'spec.clusterIP': '', 'spec.type': '' },
  returnsDeleted: true,
  columns: table<CoreService>({
    Type: ({ spec }) => spec.type,
    'Cluster-IP': ({ spec }) => spec.clusterIP || undefined,
    'External-IP': externalAddress,
    'Port(s)': ({ spec }) => list((spec.ports ?? []).map((p) => `${p.port}${nodePort(p)}/${p.protocol ?? 'TCP'}`)),
    '+Selector': ({ spec }) => selectorOf({ matchLabels: spec.selector ?? {} }),
  }),
};

function nodePort(port: { nodePort?: number }): string {
  return port.nodePort ? `:${port.nodePort}` : '';
}

function externalAddress({ spec, status }: CoreService): string | undefined {
  if (spec.type === 'ExternalName') return spec.externalName;
  const balanced = (status?.loadBalancer?.ingress ?? []).map(({ hostname, ip }) => ip ?? hostname ?? '');
  const all = list([...balanced, ...(spec.externalIPs ?? [])]);
  return all ?? (spec.type === 'LoadBalancer' ? '<pending>' : undefined);
}
