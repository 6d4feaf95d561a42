import { type Broker, BrokerKind, isOurBroker } from '../../api/eventing/broker.ts';
import {
  dependencyAnnotation,
  parseDependency,
  type Trigger,
  TriggerKind,
  type TriggerStatus,
} from '../../api/eventing/trigger.ts';
import { type Conditioned, type KubeObject, timestamp } from '../../api/meta.ts';
import { type ConditionManager, conditionSet } from '../../kube/conditions.ts';
import type { Controller, ReconcileContext } from '../../kube/reconciler.ts';
import { updateStatus } from '../../kube/update-status.ts';
import { releaseCommand } from '../../lib/quarantine.ts';
import { compileFilter } from '../filters/filter.ts';
import { servingState, setAsideAnnotation } from '../status-annotations.ts';
import { type ControlOptions, lookUp, type Resolver, resolveDestination } from './destination.ts';

const types = [
  'BrokerReady',
  'SubscriptionReady',
  'DependencyReady',
  'SubscriberResolved',
  'DeadLetterSinkResolved',
  'OIDCIdentityCreated',
] as const;

type Type = (typeof types)[number] | 'Ready' | 'EventsDelivered';
const conditions = conditionSet<Type>({ happy: 'Ready', dependents: types, informational: ['EventsDelivered'] });

/** Resolves where a trigger's events go, and reports whether they do. */
export function triggerController(options: ControlOptions): Controller<Trigger> {
  return {
    name: 'trigger',
    kind: TriggerKind,
    reconcile: (trigger, context) => reconcile(trigger, context, options),
  };
}

async function reconcile(trigger: Trigger, context: ReconcileContext, { ingressUrl }: ControlOptions): Promise<void> {
  const namespace = trigger.metadata.namespace ?? '';
  const { broker: name } = trigger.spec;
  const broker = name ? await context.look(BrokerKind, { namespace, name }) : undefined;
  if (trigger.metadata.deletionTimestamp !== undefined || (broker && !isOurBroker(broker))) return;
  const manager = conditions.manage(trigger.status?.conditions, timestamp(context.clock.now()));
  const resolver: Resolver = { look: context.look, ingressUrl };
  const status: TriggerStatus = { observedGeneration: trigger.metadata.generation ?? 0 };
  if (trigger.status?.annotations) status.annotations = trigger.status.annotations;

  reportBroker(trigger, broker, manager);
  reportSubscription(trigger, manager);
  reportSetAside(trigger, manager);
  manager.markTrue('OIDCIdentityCreated', 'AuthOIDCDisabled', 'no identity is needed: authentication is not in use');
  await reportDependency(trigger, manager, resolver);
  await reportSubscriber(trigger, status, manager, resolver);
  await reportDeadLetterSink(trigger, broker, status, manager, resolver);

  status.conditions = manager.conditions;
  await updateStatus(context, trigger, status);
}

function reportBroker(trigger: Trigger, broker: Broker | undefined, manager: ConditionManager<Type>): void {
  if (!broker) {
    manager.markFalse('BrokerReady', 'BrokerDoesNotExist', `Broker "${trigger.spec.broker}" does not exist`);
    return;
  }
  copyReady(broker, `Broker "${broker.metadata.name}"`, 'BrokerReady', manager);
}

function reportSubscription(trigger: Trigger, manager: ConditionManager<Type>): void {
  const filter = compileFilter(trigger.spec);
  const serving = servingState(trigger.status?.annotations, trigger.metadata.uid);
  if ('unsupported' in filter) manager.markFalse('SubscriptionReady', 'FilterNotSupported', filter.unsupported);
  else if (serving.is === 'serving') manager.markTrue('SubscriptionReady');
  else if (serving.is === 'failed') manager.markFalse('SubscriptionReady', 'BrokerProcessFailed', serving.why);
  else {
    const message = "the broker's process has not given this trigger its place in the log";
    manager.markUnknown('SubscriptionReady', 'WaitingForBrokerProcess', message);
  }
}

/** The trigger is Ready all the same: its other events are delivered. */
function reportSetAside(trigger: Trigger, manager: ConditionManager<Type>): void {
  const names = trigger.status?.annotations?.[setAsideAnnotation]?.split('\n') ?? [];
  const [first] = names;
  if (first !== undefined) {
    const message =
      `deliveries that ended the broker's process twice are left alone (${names.length}); once the cause is mended, ` +
      `give them back: ${releaseCommand('broker', first)}`;
    manager.markFalse('EventsDelivered', 'SetAside', message);
  } else if (manager.get('EventsDelivered')) manager.markTrue('EventsDelivered');
}

async function reportDependency(trigger: Trigger, manager: ConditionManager<Type>, resolver: Resolver): Promise<void> {
  const annotation = trigger.metadata.annotations?.[dependencyAnnotation];
  const reference = annotation === undefined ? undefined : parseDependency(annotation);
  if (!reference) {
    manager.markTrue('DependencyReady');
    return;
  }
  const namespace = trigger.metadata.namespace ?? '';
  const what = `${reference.kind} "${reference.name}"`;
  const found = await lookUp(reference, namespace, resolver);
  if (!found) manager.markFalse('DependencyReady', 'DependencyDoesNotExist', `${what} does not exist`);
  else copyReady(found, what, 'DependencyReady', manager);
}

async function reportSubscriber(
  trigger: Trigger,
  status: TriggerStatus,
  manager: ConditionManager<Type>,
  resolver: Resolver,
): Promise<void> {
  const found = await resolveDestination(trigger.spec.subscriber, trigger.metadata.namespace ?? '', resolver);
  if (found.is === 'not') {
    manager.markFalse('SubscriberResolved', found.reason, found.message);
    return;
  }
  status.subscriberUri = found.address.uri;
  if (found.address.ca !== undefined) status.subscriberCACerts = found.address.ca;
  manager.markTrue('SubscriberResolved');
}

/** The trigger's own dead letter sink; without one, its broker's. */
async function reportDeadLetterSink(
  trigger: Trigger,
  broker: Broker | undefined,
  status: TriggerStatus,
  manager: ConditionManager<Type>,
  resolver: Resolver,
): Promise<void> {
  const own = trigger.spec.delivery?.deadLetterSink;
  const inherited = broker?.spec.delivery?.deadLetterSink;
  const sink = own ?? inherited;
  if (!sink) {
    manager.markTrue('DeadLetterSinkResolved', 'DeadLetterSinkNotConfigured', 'no dead letter sink is configured');
    return;
  }
  const found = await resolveDestination(sink, trigger.metadata.namespace ?? '', resolver);
  if (found.is === 'not') {
    manager.markFalse('DeadLetterSinkResolved', found.reason, found.message);
    return;
  }
  status.deadLetterSinkUri = found.address.uri;
  if (found.address.ca !== undefined) status.deadLetterSinkCACerts = found.address.ca;
  manager.markTrue('DeadLetterSinkResolved');
}

/** Makes `type` say what the Ready condition of `object` says. */
function copyReady(object: KubeObject, what: string, type: Type, manager: ConditionManager<Type>): void {
  const status: Conditioned = 'status' in object ? ((object.status ?? {}) as Conditioned) : {};
  const ready = status.conditions?.find((condition) => condition.type === 'Ready');
  if (ready?.status === 'True') manager.markTrue(type);
  else if (ready?.status === 'False') {
    manager.markFalse(type, ready.reason ?? 'NotReady', ready.message ?? `${what} is not ready`);
  } else {
    manager.markUnknown(type, ready?.reason ?? 'NotReadyYet', ready?.message ?? `${what} is not ready yet`);
  }
}
