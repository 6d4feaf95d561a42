import { NodeKind } from '../../../api/core/node.ts';
import { PodKind } from '../../../api/core/pod.ts';
import { defineKind, type Kind } from '../../../api/kind.ts';
import { type KubeObject, timestamp } from '../../../api/meta.ts';
import { array, map, object, string } from '../../../api/schema.ts';
import { ApiError } from '../../../api/status.ts';
import type { PodUsage, Resources, Usage, UsageReader } from '../../pod-usage.ts';
import type { Machinery } from '../machinery.ts';
import type { Strategy } from '../strategy.ts';

const group = 'metrics.k8s.io';
const version = 'v1beta1';
const times = { timestamp: string({ format: 'date-time' }), window: string() };

const nodeMetrics = defineKind({
  ...{ group, version, kind: 'NodeMetrics', plural: 'nodes', singular: '', isNamespaced: false, hasStatus: false },
  schema: object({ ...times, usage: map() }),
});

const podMetrics = defineKind({
  ...{ group, version, kind: 'PodMetrics', plural: 'pods', singular: '', hasStatus: false },
  schema: object({ ...times, containers: array(object({ name: string(), usage: map() })) }),
});

/** metrics.k8s.io: what pods and nodes use, as metrics-server tells it. Nothing of it is stored. */
export const usage = (reader: UsageReader | undefined): readonly Strategy[] => [
  {
    kind: nodeMetrics as Kind,
    async compute(machinery) {
      const { node } = await read(reader);
      return node === undefined
        ? []
        : storedOf(machinery, NodeKind as Kind, undefined).flatMap(({ metadata }) =>
            metadata.name === node.name ? objectOf(nodeMetrics as Kind, metadata, node, { usage: listOf(node) }) : [],
          );
    },
  },
  {
    kind: podMetrics as Kind,
    async compute(machinery, { namespace }) {
      const { pods } = await read(reader);
      return storedOf(machinery, PodKind as Kind, namespace).flatMap(({ metadata }) => {
        const pod = pods.get(metadata.uid ?? '');
        const containers = pod?.containers.map(({ name, ...used }) => ({ name, usage: listOf(used) }));
        return pod ? objectOf(podMetrics as Kind, metadata, pod, { containers }) : [];
      });
    },
  },
];

function read(reader: UsageReader | undefined) {
  if (reader) return reader.read();
  throw new ApiError(503, 'ServiceUnavailable', 'this API server runs without a node agent: nobody knows what is used');
}

/** The objects of a kind as they are on disk. */
function storedOf({ store }: Machinery, { group: of, plural }: Kind, namespace: string | undefined): KubeObject[] {
  const prefix = namespace ? `${namespace}/` : '';
  return store
    .table(`${of}/${plural}`)
    .rows(prefix, '')
    .map(([, stored]) => stored.object);
}

function objectOf(
  kind: Kind,
  { name, namespace, labels }: KubeObject['metadata'],
  { atMs, windowMs }: Pick<PodUsage | Usage, 'atMs' | 'windowMs'>,
  more: object,
): KubeObject {
  return {
    apiVersion: `${group}/${version}`,
    kind: kind.kind,
    metadata: {
      name,
      ...(namespace !== undefined && { namespace }),
      ...(labels && { labels }),
      creationTimestamp: timestamp(atMs),
    },
    timestamp: timestamp(atMs),
    window: `${windowMs / 1000}s`,
    ...more,
  } as KubeObject;
}

/** As metrics-server writes it: billionths of a processor, and whole KiB. */
const listOf = ({ cpuNanocores, memoryBytes }: Resources) => ({
  cpu: cpuNanocores === 0 ? '0' : `${cpuNanocores}n`,
  memory: `${Math.ceil(memoryBytes / 1024)}Ki`,
});
