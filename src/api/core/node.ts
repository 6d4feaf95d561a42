import { defineKind } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';
import { anything, array, boolean, conditionsSchema, intOrString, map, mapList, object, string } from '../schema.ts';

export interface NodeStatus {
  capacity?: Record<string, string | number>;
  allocatable?: Record<string, string | number>;
  conditions?: Condition[];
  addresses?: { type: string; address: string }[];
  nodeInfo?: Record<string, unknown>;
  images?: { names?: string[]; sizeBytes?: number }[];
  daemonEndpoints?: Record<string, unknown>;
  phase?: string;
}

export interface Node extends KubeObject {
  spec?: { podCIDR?: string; providerID?: string; unschedulable?: boolean; taints?: Record<string, unknown>[] };
  status?: NodeStatus;
}

export const NodeKind = defineKind<Node>({
  group: '',
  version: 'v1',
  kind: 'Node',
  shortNames: ['no'],
  isNamespaced: false,
  schema: object({
    spec: object({
      podCIDR: string(),
      podCIDRs: array(string()),
      providerID: string(),
      unschedulable: boolean(),
      taints: array(anything()),
    }),
    status: object({
      capacity: map(intOrString()),
      allocatable: map(intOrString()),
      conditions: {
        ...conditionsSchema,
        items: anything({ properties: { type: string(), status: string() }, required: ['type', 'status'] }),
      },
      addresses: mapList(object({ type: string(), address: string() }), ['type']),
      nodeInfo: anything(),
      daemonEndpoints: anything(),
      images: array(anything()),
      features: anything(),
      runtimeHandlers: array(anything()),
      phase: string(),
      volumesInUse: array(string()),
    }),
  }),
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
