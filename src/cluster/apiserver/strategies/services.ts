import { type CoreService, CoreServiceKind } from '../../../api/core/service.ts';
import { headless } from '../../../api/core/service-spec.ts';
import { lastAppliedAnnotation, type ObjectMeta } from '../../../api/meta.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { ServiceNetwork } from '../../service-network.ts';
import { table } from '../http/table/column.ts';
import { type Machinery, putOnDisk } from '../machinery.ts';
import { tableName } from '../served-resource.ts';
import type { Strategy } from '../strategy.ts';
import { list, selectorOf } from './cells.ts';
import { allocate } from './service-allocation.ts';
import { ServicePool } from './service-pool.ts';

/** How many Services of before are given their addresses at once. */
const batchSize = 500;

export function services(network: ServiceNetwork): Strategy<CoreService> {
  let pool: ServicePool | undefined;
  const poolOf = ({ store }: Machinery) => {
    pool ??= new ServicePool(store, network);
    return pool;
  };
  return {
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
    prepareForCreate(service) {
      service.status = { loadBalancer: {} };
    },
    prepareForUpdate(service, old) {
      // What a balancer has done for it is of no matter any more.
      if (old.spec.type === 'LoadBalancer' && service.spec.type !== 'LoadBalancer')
        service.status = { loadBalancer: {} };
    },
    allocate: (machinery, service, old) => allocate(service, old, poolOf(machinery).claimsFor(keyOf(service))),
    upkeep(machinery) {
      const given = giveThoseOfBefore(machinery, poolOf(machinery));
      return { settled: () => given, stop: () => pool?.stop() };
    },
  };
}

const keyOf = ({ metadata: { namespace, name } }: CoreService) => `${namespace}/${name}`;

/** Services that were stored when there were no addresses, or others, each given what it would get today. */
async function giveThoseOfBefore({ log, store }: Machinery, pool: ServicePool): Promise<void> {
  const stored = store.table(tableName(CoreServiceKind));
  const lacking = stored.rows().filter(([, { object }]) => lacksAddress(object as CoreService, pool));
  for (let i = 0; i < lacking.length; i += batchSize) {
    const batch = lacking.slice(i, i + batchSize).map(async ([key, { object }]) => {
      const service = structuredClone(object) as CoreService;
      const { clusterIP, clusterIPs, ipFamilies, ipFamilyPolicy, ...spec } = service.spec;
      service.spec = spec;
      try {
        allocate(service, object as CoreService, pool.claimsFor(key));
        await putOnDisk(store, stored, key, { object: service, others: [] });
      } catch (error) {
        log.warn({ service: key, reason: messageOf(error) }, 'a Service of before could not be given an address');
      }
    });
    await Promise.all(batch);
  }
}

/**
 * One without an address or with one of another range, where nothing leads to; and one that was made headless because
 * there were none: whose user, as far as it is known what was applied, has not asked for that, or whose type cannot be.
 */
function lacksAddress({ metadata, spec }: CoreService, pool: ServicePool): boolean {
  if (spec.type === 'ExternalName') return false;
  if (spec.clusterIP !== headless) return !spec.clusterIP || pool.isElsewhere(spec.clusterIP);
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') return true;
  const applied = appliedAddress(metadata);
  if (applied !== undefined) return applied !== headless;
  return metadata.namespace === 'default' && metadata.name === 'kubernetes';
}

/** What address was applied, '' when none; undefined when it is not known. */
function appliedAddress({ annotations }: ObjectMeta): string | undefined {
  try {
    const { spec } = JSON.parse(annotations?.[lastAppliedAnnotation] ?? '') as Partial<CoreService>;
    return typeof spec === 'object' ? `${spec.clusterIP ?? ''}` : undefined;
  } catch {
    return undefined; // There is none, or somebody spoilt it.
  }
}

function nodePort(port: { nodePort?: number }): string {
  return port.nodePort ? `:${port.nodePort}` : '';
}

function externalAddress({ spec, status }: CoreService): string | undefined {
  if (spec.type === 'ExternalName') return spec.externalName;
  const balanced = (status?.loadBalancer?.ingress ?? []).map(({ hostname, ip }) => ip ?? hostname ?? '');
  const all = list([...balanced, ...(spec.externalIPs ?? [])]);
  return all ?? (spec.type === 'LoadBalancer' ? '<pending>' : undefined);
}
