import { labelSelectorSchema } from '../meta.ts';
import { atomicList, integer, mapList, object, string } from '../schema.ts';

/** Where pods may run: core/v1's affinity, tolerations and spreading. The embedded cluster has one node. */

const int32 = integer({ format: 'int32' });

const nodeRequirements = atomicList(
  object({ key: string(), operator: string(), values: atomicList(string()) }, { required: ['key', 'operator'] }),
);
const nodeSelectorTerm = object({ matchExpressions: nodeRequirements, matchFields: nodeRequirements });

const podAffinityTerm = object(
  {
    labelSelector: labelSelectorSchema,
    namespaces: atomicList(string()),
    topologyKey: string(),
    namespaceSelector: labelSelectorSchema,
    matchLabelKeys: atomicList(string()),
    mismatchLabelKeys: atomicList(string()),
  },
  { required: ['topologyKey'] },
);

/** A term that must hold when a pod is scheduled, and terms that should. */
const podAffinity = object({
  requiredDuringSchedulingIgnoredDuringExecution: atomicList(podAffinityTerm),
  preferredDuringSchedulingIgnoredDuringExecution: atomicList(
    object({ weight: int32, podAffinityTerm }, { required: ['weight', 'podAffinityTerm'] }),
  ),
});

export const affinitySchema = object({
  nodeAffinity: object({
    requiredDuringSchedulingIgnoredDuringExecution: object(
      { nodeSelectorTerms: atomicList(nodeSelectorTerm) },
      { required: ['nodeSelectorTerms'] },
    ),
    preferredDuringSchedulingIgnoredDuringExecution: atomicList(
      object({ weight: int32, preference: nodeSelectorTerm }, { required: ['weight', 'preference'] }),
    ),
  }),
  podAffinity,
  podAntiAffinity: podAffinity,
});

export const tolerationsSchema = atomicList(
  object({
    key: string(),
    operator: string(),
    value: string(),
    effect: string(),
    tolerationSeconds: integer({ format: 'int64' }),
  }),
);

const spreadConstraint = object(
  {
    maxSkew: int32,
    topologyKey: string(),
    whenUnsatisfiable: string(),
    labelSelector: labelSelectorSchema,
    minDomains: int32,
    nodeAffinityPolicy: string(),
    nodeTaintsPolicy: string(),
    matchLabelKeys: atomicList(string()),
  },
  { required: ['maxSkew', 'topologyKey', 'whenUnsatisfiable'] },
);

export const topologySpreadConstraintsSchema = mapList(spreadConstraint, ['topologyKey', 'whenUnsatisfiable']);
