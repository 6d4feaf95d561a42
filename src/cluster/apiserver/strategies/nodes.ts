import { type Node, NodeKind } from '../../../api/core/node.ts';
import { table } from '../http/table/column.ts';
import type { Strategy } from '../strategy.ts';
import { list } from './cells.ts';

export const nodes: Strategy<Node> = {
  kind: NodeKind,
  selectableFields: { 'spec.unschedulable': 'false' },
  columns: table<Node>({
    Status: nodeStatus,
    Roles: (node) => list(rolesOf(node)),
    Version: ({ status }) => text(status?.nodeInfo?.kubeletVersion),
    '+Internal-IP': (node) => addressOf(node, 'InternalIP'),
    '+External-IP': (node) => addressOf(node, 'ExternalIP'),
    '+OS-Image': ({ status }) => text(status?.nodeInfo?.osImage) ?? '<unknown>',
    '+Kernel-Version': ({ status }) => text(status?.nodeInfo?.kernelVersion) ?? '<unknown>',
    '+Container-Runtime': ({ status }) => text(status?.nodeInfo?.containerRuntimeVersion) ?? '<unknown>',
  }),
};

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function nodeStatus(node: Node): string {
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
  const words = [ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady'];
  if (node.spec?.unschedulable) words.push('SchedulingDisabled');
  return words.join(',');
}

function rolesOf(node: Node): string[] {
  const prefix = 'node-role.kubernetes.io/';
  return Object.keys(node.metadata.labels ?? {}).flatMap((key) =>
    key.startsWith(prefix) && key !== prefix ? [key.slice(prefix.length)] : [],
  );
}

function addressOf(node: Node, type: string): string | undefined {
  return node.status?.addresses?.find((a) => a.type === type)?.address;
}
