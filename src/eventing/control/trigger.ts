import { type Broker, BrokerKind, isOurBroker } from '../../api/eventing/broker.ts';
import { dependencyAnnotation, parseDependency, type Trigger, TriggerKind } from '../../api/eventing/trigger.ts';
import type { Conditioned, KubeObject } from '../../api/meta.ts';
import { type ConditionManager, conditionSet } from '../../kube/conditions.ts';
import { type Run, reconcileInPhases } from '../../kube/phases.ts';
import type { Controller } from '../../kube/reconciler.ts';
import { releaseCommand } from '../../lib/quarantine.ts';
import { setOrDrop } from '../../lib/set-or-drop.ts';
import { compileFilter } from '../filters/filter.ts';
import { servingState, setAsideAnnotation } from '../status-annotations.ts';
import {
  type ControlOptions,
  lookUp,
  type Resolver,
  reportDeadLetterSink,
  reportDestination,
  reportIdentity,
} from './destination.ts';

const types = [
  'BrokerReady',
  'SubscriptionReady',
  'DependencyReady',
  'SubscriberResolved',
  'DeadLetterSinkResolved',
  'OIDCIdentityCreated',
] as const;
type ConditionType = 'Ready' | (typeof types)[number] | 'EventsDelivered';
const conditions = conditionSet<ConditionType>({
  happy: 'Ready',
  dependents: types,
  informational: ['EventsDelivered'],
});

interface Needs {
  broker: Broker | undefined;
  resolver: Resolver;
}
type TriggerRun = Run<Trigger, ConditionType> & Needs;

/** Resolves where a trigger's events go, and reports whether they do. */
export function triggerController({ ingressUrl }: ControlOptions): Controller<Trigger> {
  return {
    name: 'trigger',
    kind: TriggerKind,
    reconcile: reconcileInPhases<Trigger, ConditionType, Needs>({
      conditions,
      async begin({ metadata: { namespace = '' }, spec: { broker: name } }, { look }) {
        const broker = name ? await look(BrokerKind, { namespace, name }) : undefined;
        return broker && !isOurBroker(broker) ? undefined : { broker, resolver: { look, ingressUrl } };
      },
      phases: [
        reportBroker,
        reportSubscription,
        reportSetAside,
        reportIdentity,
        reportDependency,
        reportSubscriber,
        reportSink,
      ],
    }),
  };
}

function reportBroker({ object: trigger, broker, conditions }: TriggerRun): void {
  if (!broker) {
    conditions.markFalse('BrokerReady', 'BrokerDoesNotExist', `Broker "${trigger.spec.broker}" does not exist`);
    return;
  }
  copyReady(broker, `Broker "${broker.metadata.name}"`, 'BrokerReady', conditions);
}

function reportSubscription({ object: trigger, conditions }: TriggerRun): void {
  const filter = compileFilter(trigger.spec);
  const serving = servingState(trigger.status?.annotations, trigger.metadata.uid);
  if ('unsupported' in filter) conditions.markFalse('SubscriptionReady', 'FilterNotSupported', filter.unsupported);
  else if (serving.is === 'serving') conditions.markTrue('SubscriptionReady');
  else if (serving.is === 'failed') conditions.markFalse('SubscriptionReady', 'BrokerProcessFailed', serving.why);
  else {
    const message = "the broker's process has not given this trigger its place in the log";
    conditions.markUnknown('SubscriptionReady', 'WaitingForBrokerProcess', message);
  }
}

/** The trigger is Ready all the same: its other events are delivered. */
function reportSetAside({ object: trigger, conditions }: TriggerRun): void {
  const names = trigger.status?.annotations?.[setAsideAnnotation]?.split('\n') ?? [];
  const [first] = names;
  if (first !== undefined) {
    const message =
      `deliveries that ended the broker's process twice are left alone (${names.length}); once the cause is mended, ` +
      `give them back: ${releaseCommand('broker', first)}`;
    conditions.markFalse('EventsDelivered', 'SetAside', message);
  } else if (conditions.get('EventsDelivered')) conditions.markTrue('EventsDelivered');
}

async function reportDependency({ object: trigger, conditions, resolver }: TriggerRun): Promise<void> {
  const annotation = trigger.metadata.annotations?.[dependencyAnnotation];
  const reference = annotation === undefined ? undefined : parseDependency(annotation);
  if (!reference) {
    conditions.markTrue('DependencyReady');
    return;
  }
  const namespace = trigger.metadata.namespace ?? '';
  const what = `${reference.kind} "${reference.name}"`;
  const found = await lookUp(reference, namespace, resolver);
  if (!found) conditions.markFalse('DependencyReady', 'DependencyDoesNotExist', `${what} does not exist`);
  else copyReady(found, what, 'DependencyReady', conditions);
}

async function reportSubscriber(run: TriggerRun): Promise<void> {
  const address = await reportDestination(run, 'SubscriberResolved', run.object.spec.subscriber);
  setOrDrop(run.status, 'subscriberUri', address?.uri);
  setOrDrop(run.status, 'subscriberCACerts', address?.ca);
}

/** The trigger's own dead letter sink; without one, its broker's. */
async function reportSink(run: TriggerRun): Promise<void> {
  const sink = run.object.spec.delivery?.deadLetterSink ?? run.broker?.spec.delivery?.deadLetterSink;
  await reportDeadLetterSink(run, 'DeadLetterSinkResolved', sink);
}

/** Makes `type` say what the Ready condition of `object` says. */
function copyReady(
  object: KubeObject,
  what: string,
  type: ConditionType,
  conditions: ConditionManager<ConditionType>,
): void {
  const status: Conditioned = 'status' in object ? ((object.status ?? {}) as Conditioned) : {};
  const ready = status.conditions?.find((condition) => condition.type === 'Ready');
  const unsaid = { status: 'Unknown', reason: 'NotReadyYet', message: `${what} is not ready yet` } as const;
  conditions.copy(type, { ...unsaid, ...ready });
}
