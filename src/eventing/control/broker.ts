import { type Broker, BrokerKind, isOurBroker } from '../../api/eventing/broker.ts';
import { keyOf } from '../../api/meta.ts';
import { conditionSet } from '../../kube/conditions.ts';
import { type Run, reconcileInPhases } from '../../kube/phases.ts';
import type { Controller } from '../../kube/reconciler.ts';
import { servingState } from '../status-annotations.ts';
import { brokerUrl, type ControlOptions, type Resolver, reportDeadLetterSink } from './destination.ts';

const dataPath = ['IngressReady', 'TriggerChannelReady', 'FilterReady'] as const;
const types = [...dataPath, 'Addressable', 'DeadLetterSinkResolved', 'EventPoliciesReady'] as const;
type ConditionType = 'Ready' | (typeof types)[number];
const conditions = conditionSet<ConditionType>({ happy: 'Ready', dependents: types });

interface Needs {
  resolver: Resolver;
}
type BrokerRun = Run<Broker, ConditionType> & Needs;

/** Reports where a broker is, and whether the broker's process serves it. */
export function brokerController({ ingressUrl }: ControlOptions): Controller<Broker> {
  return {
    name: 'broker',
    kind: BrokerKind,
    reconcile: reconcileInPhases<Broker, ConditionType, Needs>({
      conditions,
      begin: (broker, { look }) => (isOurBroker(broker) ? { resolver: { look, ingressUrl } } : undefined),
      phases: [reportServing, reportAddress, reportPolicies, reportSink],
    }),
  };
}

function reportServing({ object, conditions }: BrokerRun): void {
  const serving = servingState(object.status?.annotations, object.metadata.uid);
  for (const type of dataPath) {
    if (serving.is === 'serving') conditions.markTrue(type);
    else if (serving.is === 'failed') conditions.markFalse(type, 'BrokerProcessFailed', serving.why);
    else {
      const message = "the broker's process has not opened this broker's log";
      conditions.markUnknown(type, 'WaitingForBrokerProcess', message);
    }
  }
}

function reportAddress({ object, status, conditions, resolver }: BrokerRun): void {
  status.address = { name: 'http', url: brokerUrl(resolver.ingressUrl, keyOf(object)) };
  status.addresses = [status.address];
  conditions.markTrue('Addressable');
}

function reportPolicies({ conditions }: BrokerRun): void {
  const message = 'every sender may send: authentication is not in use';
  conditions.markTrue('EventPoliciesReady', 'AuthOIDCDisabled', message);
}

const reportSink = (run: BrokerRun): Promise<void> =>
  reportDeadLetterSink(run, 'DeadLetterSinkResolved', run.object.spec.delivery?.deadLetterSink);
