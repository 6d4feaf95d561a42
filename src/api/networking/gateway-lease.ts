import { type Lease, LeaseKind } from '../coordination/lease.ts';
import { apiVersionOf } from '../kind.ts';
import { microTime } from '../meta.ts';
import { systemNamespace } from '../serving/names.ts';

/**
 * How gateways and Serving speak of what is served. Each gateway has a Lease in `gatewayLeaseNamespace`: renewed while
 * it is up, and with the version (resourceVersion, the watch's order) up to which it has the routes of all Ingresses.
 */
export const gatewayLeaseNamespace = systemNamespace;
export const gatewayLeaseLabels = { 'networking.kittiwake.dev/gateway': 'true' };
const servedAnnotation = 'networking.kittiwake.dev/ingresses-served';
/** A gateway that has not renewed its Lease for this long is taken to be down. */
export const gatewayLeaseSeconds = 15;

export interface GatewayState {
  name: string;
  isUp: boolean;
  /** Undefined while it reads the routes for the first time, before it listens. */
  servedVersion: bigint | undefined;
}

export function makeGatewayLease(
  name: string,
  holder: string,
  servedVersion: string | undefined,
  nowMs: number,
): Lease {
  return {
    apiVersion: apiVersionOf(LeaseKind),
    kind: LeaseKind.kind,
    metadata: {
      name,
      namespace: gatewayLeaseNamespace,
      labels: gatewayLeaseLabels,
      annotations: { [servedAnnotation]: servedVersion ?? '' },
    },
    spec: {
      holderIdentity: holder,
      leaseDurationSeconds: gatewayLeaseSeconds,
      renewTime: microTime(nowMs),
    },
  };
}

/** What a gateway's Lease says of it. */
export function gatewayStateOf(lease: Lease, nowMs: number): GatewayState {
  const { name, annotations } = lease.metadata;
  return {
    name,
    isUp: nowMs < gatewayUpUntilMs(lease, nowMs),
    servedVersion: versionOf(annotations?.[servedAnnotation]),
  };
}

/**
 * When it is taken to be down, unless its Lease is renewed until then. One of a time to come was renewed by a clock
 * that was wrong: it would hold up every route until then, and nobody may be left to renew it.
 */
export function gatewayUpUntilMs({ spec }: Lease, nowMs: number): number {
  const renewedMs = Date.parse(spec?.renewTime ?? '');
  return renewedMs - nowMs < gatewayLeaseSeconds * 1_000 ? renewedMs + gatewayLeaseSeconds * 1_000 : -Infinity;
}

/** A resourceVersion as a number: those of one kind are in the order of its changes. */
export function versionOf(text: string | undefined): bigint | undefined {
  return text !== undefined && /^\d+$/.test(text) ? BigInt(text) : undefined;
}
