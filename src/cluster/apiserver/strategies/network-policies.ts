import { type NetworkPolicy, NetworkPolicyKind } from '../../../api/networking/network-policy.ts';
import { table } from '../http/table/column.ts';
import type { Strategy } from '../strategy.ts';
import { selectorOf } from './cells.ts';

export const networkPolicies: Strategy<NetworkPolicy> = {
  kind: NetworkPolicyKind,
  columns: table<NetworkPolicy>({ 'Pod-Selector': ({ spec }) => selectorOf(spec.podSelector) }),
};
