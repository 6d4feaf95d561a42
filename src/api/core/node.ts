import { defineKind } from '../kind.ts';
import { conditionFields, type KubeObject } from '../meta.ts';
import {
  array,
  atomicList,
  boolean,
  integer,
  intOrString,
  map,
  mapList,
  object,
  string,
  type ValueOf,
} from '../schema.ts';

const taintSchema = object(
  { key: string(), value: string(), effect: string(), timeAdded: string({ format: 'date-time', nullable: true }) },
  { required: ['key', 'effect'] },
);

/** Those of a node have a time of their last heartbeat, too. */
const nodeConditionsSchema = mapList(
  object(
    { ...conditionFields, lastHeartbeatTime: string({ format: 'date-time', nullable: true }) },
    { required: ['type', 'status'] },
  ),
  ['type'],
);

const nodeSchema = object({
  spec: object({
    podCIDR: string(),
    podCIDRs: array(string(), { 'x-kubernetes-list-type': 'set' }),
    providerID: string(),
    unschedulable: boolean(),
    taints: atomicList(taintSchema),
  }),
  status: object({
    capacity: map(intOrString()),
    allocatable: map(intOrString()),
    conditions: nodeConditionsSchema,
    addresses: mapList(object({ type: string(), address: string() }, { required: ['type', 'address'] }), ['type']),
    nodeInfo: map(string()),
    daemonEndpoints: object({ kubeletEndpoint: object({ Port: integer({ format: 'int32' }) }) }),
    images: atomicList(object({ names: atomicList(string()), sizeBytes: integer({ format: 'int64' }) })),
    features: map(boolean()),
    runtimeHandlers: atomicList(object({ name: string(), features: map(boolean()) })),
    phase: string(),
    volumesInUse: array(string()),
  }),
});

export interface Node extends KubeObject, ValueOf<typeof nodeSchema> {}
export const NodeKind = defineKind<Node>({
  group: '',
  version: 'v1',
  kind: 'Node',
  shortNames: ['no'],
  isNamespaced: false,
  schema: nodeSchema,
  columns: [
    { name: 'Status', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason' },
    { name: 'Version', type: 'string', jsonPath: '.status.nodeInfo.kubeletVersion' },
    {
      name: 'Internal-IP',
      type: 'string',
      jsonPath: '.status.addresses[?(@.type=="InternalIP")].address',
      priority: 1,
    },
    { name: 'OS-Image', type: 'string', jsonPath: '.status.nodeInfo.osImage', priority: 1 },
    { name: 'Container-Runtime', type: 'string', jsonPath: '.status.nodeInfo.containerRuntimeVersion', priority: 1 },
  ],
});
