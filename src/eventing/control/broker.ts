import { type Broker, BrokerKind, type BrokerStatus, isOurBroker } from '../../api/eventing/broker.ts';
import { keyOf, timestamp } from '../../api/meta.ts';
import { conditionSet } from '../../kube/conditions.ts';
import type { Controller, ReconcileContext } from '../../kube/reconciler.ts';
import { updateStatus } from '../../kube/update-status.ts';
import { servingState } from '../status-annotations.ts';
import { brokerUrl, type ControlOptions, resolveDestination } from './destination.ts';

const conditions = conditionSet({
  happy: 'Ready',
  dependents: [
    'IngressReady',
    'TriggerChannelReady',
    'FilterReady',
    'Addressable',
    'DeadLetterSinkResolved',
    'EventPoliciesReady',
  ],
});

/** Reports where a broker is, and whether the broker's process serves it. */
export function brokerController(options: ControlOptions): Controller<Broker> {
  return {
    name: 'broker',
    kind: BrokerKind,
    reconcile: (broker, context) => reconcile(broker, context, options),
  };
}

async function reconcile(broker: Broker, context: ReconcileContext, { ingressUrl }: ControlOptions): Promise<void> {
  if (!isOurBroker(broker) || broker.metadata.deletionTimestamp !== undefined) return;
  const { metadata, spec } = broker;
  const manager = conditions.manage(broker.status?.conditions, timestamp(context.clock.now()));
  const { deadLetterSinkUri: _, deadLetterSinkCACerts: __, ...kept } = broker.status ?? {};
  const status: BrokerStatus = { ...kept, observedGeneration: metadata.generation ?? 0 };

  const serving = servingState(broker.status?.annotations, metadata.uid);
  for (const type of ['IngressReady', 'TriggerChannelReady', 'FilterReady'] as const) {
    if (serving.is === 'serving') manager.markTrue(type);
    else if (serving.is === 'failed') manager.markFalse(type, 'BrokerProcessFailed', serving.why);
    else manager.markUnknown(type, 'WaitingForBrokerProcess', "the broker's process has not opened this broker's log");
  }

  status.address = { name: 'http', url: brokerUrl(ingressUrl, keyOf(broker)) };
  status.addresses = [status.address];
  manager.markTrue('Addressable');
  manager.markTrue('EventPoliciesReady', 'AuthOIDCDisabled', 'every sender may send: authentication is not in use');

  await resolveDeadLetterSink();
  status.conditions = manager.conditions;
  await updateStatus(context, broker, status);
  async function resolveDeadLetterSink(): Promise<void> {
    const sink = spec.delivery?.deadLetterSink;
    if (!sink) {
      manager.markTrue('DeadLetterSinkResolved', 'DeadLetterSinkNotConfigured', 'no dead letter sink is configured');
      return;
    }
    const found = await resolveDestination(sink, metadata.namespace ?? '', { look: context.look, ingressUrl });
    if (found.is === 'not') {
      manager.markFalse('DeadLetterSinkResolved', found.reason, found.message);
      return;
    }
    status.deadLetterSinkUri = found.address.uri;
    if (found.address.ca !== undefined) status.deadLetterSinkCACerts = found.address.ca;
    manager.markTrue('DeadLetterSinkResolved');
  }
}
