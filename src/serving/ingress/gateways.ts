import { LeaseKind } from '../../api/coordination/lease.ts';
import {
  type GatewayState,
  gatewayLeaseLabels,
  gatewayLeaseNamespace,
  gatewayStateOf,
} from '../../api/networking/gateway-lease.ts';
import type { Cache } from '../../kube/reconciler.ts';

/** What the gateways say of themselves, and of a version of an Ingress. */
export interface Gateways {
  /** Up, and without it so far. */
  behind: string[];
  /** Not heard of for some time: they read all routes before they listen again. */
  down: string[];
  upCount: number;
}

export function gatewaysFor(version: bigint | undefined, cache: Cache, nowMs: number): Gateways {
  const states = cache
    .list(LeaseKind, { namespace: gatewayLeaseNamespace, labels: gatewayLeaseLabels })
    .map((lease) => gatewayStateOf(lease, nowMs));
  const isBehind = ({ servedVersion }: GatewayState) =>
    version !== undefined && (servedVersion === undefined || servedVersion < version);
  const up = states.filter(({ isUp }) => isUp);
  return {
    behind: namesOf(up.filter(isBehind)),
    down: namesOf(states.filter(({ isUp }) => !isUp)),
    upCount: up.length,
  };
}

const namesOf = (states: readonly GatewayState[]): string[] => states.map(({ name }) => name).sort();
