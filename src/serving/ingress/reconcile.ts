import { timestamp } from '../../api/meta.ts';
import {
  type Ingress,
  IngressKind,
  ingressClassAnnotation,
  kittiwakeIngressClass,
  type LoadBalancerStatus,
} from '../../api/networking/ingress.ts';
import { conditionSet } from '../../kube/conditions.ts';
import type { Controller } from '../../kube/reconciler.ts';
import { updateStatus } from '../../kube/update-status.ts';
import { gatewayHost } from '../route/resources/placeholder-service.ts';

const conditions = conditionSet({ happy: 'Ready', dependents: ['NetworkConfigured', 'LoadBalancerReady'] });

/**
 * Says of our Ingresses that they are served. Gateways watch Ingresses and hold a request for a host that they do not
 * know yet no differently from one whose pods start, so a written Ingress is as good as a loaded one; what a gateway
 * has loaded is not confirmed here.
 */
export function ingressController(): Controller<Ingress> {
  const loadBalancer: LoadBalancerStatus = { ingress: [{ domainInternal: gatewayHost }] };
  return {
    name: 'ingress',
    kind: IngressKind,
    async reconcile(ingress, context) {
      const ingressClass = ingress.metadata.annotations?.[ingressClassAnnotation] ?? kittiwakeIngressClass;
      if (ingress.metadata.deletionTimestamp || ingressClass !== kittiwakeIngressClass) return;
      const managed = conditions.manage(ingress.status?.conditions, timestamp(context.clock.now()));
      managed.markTrue('NetworkConfigured');
      managed.markTrue('LoadBalancerReady');
      await updateStatus(context, ingress, {
        ...ingress.status,
        observedGeneration: ingress.metadata.generation ?? 1,
        publicLoadBalancer: loadBalancer,
        privateLoadBalancer: loadBalancer,
        conditions: managed.conditions,
      });
    },
  };
}
