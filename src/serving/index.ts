/** Serving: from a Service to pods that come and go with its requests. */
import type { Controller } from '../kube/reconciler.ts';
import { configurationController } from './configuration/reconcile.ts';
import { gcController } from './gc/reconcile.ts';
import { gatewayLeaseController } from './ingress/gateway-leases.ts';
import { ingressController } from './ingress/reconcile.ts';
import { podAutoscalerController } from './pod-autoscaler/reconcile.ts';
import type { DigestResolver } from './revision/digest-queue.ts';
import { revisionController } from './revision/reconcile.ts';
import { routeController } from './route/reconcile.ts';
import { serviceController } from './service/reconcile.ts';

export { type RunningAutoscaler, type StartAutoscalerOptions, startAutoscaler } from './autoscaler/index.ts';
export type { RevisionStats, StatsReport } from './autoscaler/stats.ts';

export interface ServingOptions {
  /** Resolves image tags; a RegistryClient does. */
  registry: DigestResolver;
  /** Under which Services are reached from outside: `<service>.<namespace>.<domain>`. */
  domain: string;
  /** The port of the gateway that clients outside use. */
  gatewayPort: number;
}

/** All reconcilers of Serving; the autoscaler is started by itself. */
export function servingControllers(options: ServingOptions): Controller[] {
  return [
    serviceController(),
    configurationController(),
    revisionController({ registry: options.registry }),
    routeController({ domain: options.domain, gatewayPort: options.gatewayPort }),
    ingressController(),
    gatewayLeaseController(),
    podAutoscalerController(),
    gcController(),
  ];
}
