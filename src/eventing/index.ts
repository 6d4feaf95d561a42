import type { Admission } from '../kube/admission.ts';
import type { Controller } from '../kube/reconciler.ts';
import { brokerController } from './control/broker.ts';
import { triggerController } from './control/trigger.ts';
import { type PingOptions, pingSourceController } from './sources/ping/reconcile.ts';
import { type SinkBindingAdmissionOptions, sinkBindingAdmission } from './sources/sink-binding/admission.ts';
import { sinkBindingController } from './sources/sink-binding/reconcile.ts';

export { sendEvent } from './send.ts';

/** The controllers of Eventing: what they report is in statuses, what they schedule runs in this process. */
export function eventingControllers(options: PingOptions): Controller[] {
  const controllers = [
    brokerController(options),
    triggerController(options),
    pingSourceController(options),
    sinkBindingController(options),
  ];
  return controllers;
}

/** What Eventing changes of objects on their way in. */
export function eventingAdmission(options: SinkBindingAdmissionOptions): Admission[] {
  return [sinkBindingAdmission(options)];
}
