import { LeaseKind } from '../../api/coordination/lease.ts';
import { type Key, keyOf, keyText, timestamp } from '../../api/meta.ts';
import { gatewayLeaseNamespace, versionOf } from '../../api/networking/gateway-lease.ts';
import {
  type Ingress,
  IngressKind,
  ingressClassAnnotation,
  kittiwakeIngressClass,
  type LoadBalancerStatus,
} from '../../api/networking/ingress.ts';
import { conditionSet } from '../../kube/conditions.ts';
import type { Controller, ReconcileContext } from '../../kube/reconciler.ts';
import { updateStatus } from '../../kube/update-status.ts';
import { isReady } from '../ready.ts';
import { gatewayHost } from '../route/resources/placeholder-service.ts';
import { type Gateways, gatewaysFor } from './gateways.ts';

const conditions = conditionSet({ happy: 'Ready', dependents: ['NetworkConfigured', 'LoadBalancerReady'] });

/** A generation that gateways have yet to load, since when, and the version at which it was first seen. */
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
    async reconcile(ingress, context) {
      const key = keyText(keyOf(ingress));
      const ingressClass = ingress.metadata.annotations?.[ingressClassAnnotation] ?? kittiwakeIngressClass;
      if (ingress.metadata.deletionTimestamp || ingressClass !== kittiwakeIngressClass || isReady(ingress)) {
        awaited.delete(key);
        return;
      }
      const nowMs = context.clock.now();
      const wait = waitOf(ingress, awaited.get(key), nowMs);
      const gateways = gatewaysFor(wait.version, context.cache, nowMs);
      if (gateways.behind.length === 0) {
        awaited.delete(key);
        await report(ingress, gateways, context);
        return;
      }
      awaited.set(key, wait);
      if (nowMs - wait.sinceMs >= quietMs) await report(ingress, gateways, context);
      return { requeueAfterMs: quietMs };
    },
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

async function report(ingress: Ingress, { behind, down, upCount }: Gateways, context: ReconcileContext): Promise<void> {
  const loadBalancer: LoadBalancerStatus = { ingress: [{ domainInternal: gatewayHost }] };
  const managed = conditions.manage(ingress.status?.conditions, timestamp(context.clock.now()));
  managed.markTrue('NetworkConfigured');
  if (behind.length > 0) {
    managed.markUnknown('LoadBalancerReady', 'GatewaysBehind', `waiting for ${behind.join(', ')} to load the routes`);
  } else if (upCount === 0) {
    managed.markTrue('LoadBalancerReady', 'NoGateway', 'no gateway was up: one that starts loads all routes first');
  } else if (down.length > 0) {
    const message = `${down.join(', ')} was not heard of: it loads all routes before it listens again`;
    managed.markTrue('LoadBalancerReady', 'GatewayDown', message);
  } else managed.markTrue('LoadBalancerReady');
  await updateStatus(context, ingress, {
    ...ingress.status,
    observedGeneration: ingress.metadata.generation ?? 1,
    publicLoadBalancer: loadBalancer,
    privateLoadBalancer: loadBalancer,
    conditions: managed.conditions,
  });
}
