import { type Lease, LeaseKind } from '../../api/coordination/lease.ts';
import { keyOf } from '../../api/meta.ts';
import { gatewayLeaseLabels, gatewayLeaseNamespace, gatewayUpUntilMs } from '../../api/networking/gateway-lease.ts';
import { isConflict, isNotFound } from '../../api/status.ts';
import type { Controller } from '../../kube/reconciler.ts';

/** How long it is told of a gateway that it is down: most come back within seconds, under the same name. */
export const gatewayLeaseKeptMs = 300_000;

/** Collects the Leases of gateways that have died, and whose names nobody has taken over. */
export function gatewayLeaseController(): Controller<Lease> {
  return {
    name: 'gateway-leases',
    kind: LeaseKind,
    async reconcile(lease, { client, clock }) {
      const { namespace, labels, resourceVersion = '' } = lease.metadata;
      const isGateways = Object.entries(gatewayLeaseLabels).every(([name, value]) => labels?.[name] === value);
      if (namespace !== gatewayLeaseNamespace || !isGateways) return;
      const leftMs = gatewayUpUntilMs(lease, clock.now()) + gatewayLeaseKeptMs - clock.now();
      if (leftMs > 0) return { requeueAfterMs: leftMs };
      try {
        await client.delete(LeaseKind, keyOf(lease), { preconditions: { resourceVersion } });
      } catch (error) {
        // It is gone by itself, or has been renewed, which calls for another look.
        if (!isNotFound(error) && !isConflict(error)) throw error;
      }
    },
  };
}
