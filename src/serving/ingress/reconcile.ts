import { LeaseKind } from '../../api/coordination/lease.ts';
import { conditionOf, type Key, keyOf, keyText } from '../../api/meta.ts';
import { gatewayLeaseNamespace, versionOf } from '../../api/networking/gateway-lease.ts';
import { type Ingress, IngressKind, isForOurGateways, type LoadBalancerStatus } from '../../api/networking/ingress.ts';
import { conditionSet } from '../../kube/conditions.ts';
import { type Run, reconcileInPhases } from '../../kube/phases.ts';
import type { Controller } from '../../kube/reconciler.ts';
import { isReady } from '../ready.ts';
import { gatewayHost } from '../route/resources/placeholder-service.ts';
import { type Gateways, gatewaysFor } from './gateways.ts';

type ConditionType = 'Ready' | 'NetworkConfigured' | 'LoadBalancerReady';
const conditions = conditionSet<ConditionType>({
  happy: 'Ready',
  dependents: ['NetworkConfigured', 'LoadBalancerReady'],
});

interface Seen {
  gateways: Gateways;
}
type IngressRun = Run<Ingress, ConditionType> & Seen;

/**
 * A generation that gateways have yet to load, or whose condition tells of some that are away: since when, and the
 * version at which it was first seen.
 */
interface Awaited {
  key: Key;
  /** With the uid: one of the same name may come after it. */
  generation: string;
  version: bigint | undefined;
  sinceMs: number;
}

/** Gateways usually have a route within milliseconds: only a wait of this length is written down. */
const quietMs = 1_000;

/**
 * Says of our Ingresses that they are served: once every gateway that is up says that it has the newest routes. None
 * that starts later, or again, is waited for: it reads all routes before it listens.
 */
export function ingressController(): Controller<Ingress> {
  const awaited = new Map<string, Awaited>();
  return {
    name: 'ingress',
    kind: IngressKind,
    reconcile: reconcileInPhases<Ingress, ConditionType, Seen>({
      conditions,
      begin(ingress, { cache, clock }) {
        const key = keyText(keyOf(ingress));
        const isTold = isReady(ingress) && conditionOf(ingress, 'LoadBalancerReady')?.reason === undefined;
        if (!isForOurGateways(ingress) || isTold) {
          awaited.delete(key);
          return undefined;
        }
        const nowMs = clock.now();
        const wait = waitOf(ingress, awaited.get(key), nowMs);
        awaited.set(key, wait);
        const gateways = gatewaysFor(wait.version, cache, nowMs);
        if (gateways.behind.length === 0) return { gateways };
        // One that was ready stays so: a gateway that starts loads all routes first.
        if (isReady(ingress)) return undefined;
        return nowMs - wait.sinceMs >= quietMs ? { gateways } : { requeueAfterMs: quietMs };
      },
      phases: [reportNetwork, reportLoadBalancer],
      finalize(ingress) {
        awaited.delete(keyText(keyOf(ingress)));
      },
    }),
    watches: [
      {
        kind: LeaseKind,
        keys: ({ metadata }) =>
          metadata.namespace === gatewayLeaseNamespace ? [...awaited.values()].map(({ key }) => key) : [],
      },
    ],
    onGone(key) {
      awaited.delete(keyText(key));
    },
  };
}

/** What is written meanwhile, like our own status, makes newer versions, which nobody needs to wait for. */
function waitOf({ metadata }: Ingress, before: Awaited | undefined, nowMs: number): Awaited {
  const { namespace = '', name, resourceVersion } = metadata;
  const generation = `${metadata.uid} ${metadata.generation}`;
  if (before?.generation === generation) return before;
  return { key: { namespace, name }, generation, version: versionOf(resourceVersion), sinceMs: nowMs };
}

function reportNetwork({ conditions }: IngressRun): void {
  conditions.markTrue('NetworkConfigured');
}

function reportLoadBalancer(run: IngressRun): void {
  const { status, conditions, gateways } = run;
  const { behind, down, upCount } = gateways;
  const loadBalancer: LoadBalancerStatus = { ingress: [{ domainInternal: gatewayHost }] };
  status.publicLoadBalancer = loadBalancer;
  status.privateLoadBalancer = loadBalancer;
  if (behind.length > 0) {
    run.requeue = { requeueAfterMs: quietMs };
    const message = `waiting for ${behind.join(', ')} to load the routes`;
    conditions.markUnknown('LoadBalancerReady', 'GatewaysBehind', message);
  } else if (upCount === 0) {
    conditions.markTrue('LoadBalancerReady', 'NoGateway', 'no gateway was up: one that starts loads all routes first');
  } else if (down.length > 0) {
    const message = `${down.join(', ')} was not heard of: it loads all routes before it listens again`;
    conditions.markTrue('LoadBalancerReady', 'GatewayDown', message);
  } else conditions.markTrue('LoadBalancerReady');
}
