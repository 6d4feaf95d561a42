import { type KubeObject, keyOf, keyText, timestamp } from '../../../api/meta.ts';
import { type PingSource, PingSourceKind, pingEventType } from '../../../api/sources/ping-source.ts';
import type { SourceStatus } from '../../../api/sources/source.ts';
import { conditionSet } from '../../../kube/conditions.ts';
import type { Controller, ReconcileContext } from '../../../kube/reconciler.ts';
import { updateStatus } from '../../../kube/update-status.ts';
import { messageOf } from '../../../lib/errors.ts';
import { type ControlOptions, resolveDestination } from '../../control/destination.ts';
import { Poster } from '../../http-client.ts';
import { sendWith } from '../../send.ts';
import { PingSchedule, pingSourceOf } from './schedule.ts';

const conditions = conditionSet({ happy: 'Ready', dependents: ['SinkProvided', 'Deployed', 'OIDCIdentityCreated'] });

export interface PingOptions extends ControlOptions {
  /** Dialled for sinks under `.svc.cluster.local`. */
  gatewayUrl?: string;
}

/** Schedules PingSources in this process, for as long as its runner runs. */
export function pingSourceController(options: PingOptions): Controller<PingSource> {
  let schedule: PingSchedule | undefined;
  return {
    name: 'ping-source',
    kind: PingSourceKind,
    reconcile(source, context) {
      schedule ??= startSchedule(context, options);
      return reconcile(source, context, options, schedule);
    },
    onGone: (key) => schedule?.remove(keyText(key)),
  };
}

function startSchedule({ clock, log, signal }: ReconcileContext, { gatewayUrl }: PingOptions): PingSchedule {
  const poster = new Poster();
  const sendOptions = gatewayUrl === undefined ? {} : { gatewayUrl };
  const schedule = new PingSchedule({
    clock,
    log,
    send: (sinkUri, event) => sendWith(poster, sinkUri, event, sendOptions),
  });
  const stop = () => {
    schedule.stop();
    poster.close();
  };
  signal.addEventListener('abort', stop, { once: true });
  return schedule;
}

async function reconcile(
  source: PingSource,
  context: ReconcileContext,
  { ingressUrl }: PingOptions,
  schedule: PingSchedule,
): Promise<void> {
  const key = keyText(keyOf(source));
  if (source.metadata.deletionTimestamp !== undefined) {
    schedule.remove(key);
    return;
  }
  const { name, namespace = '', uid = '' } = source.metadata;
  const manager = conditions.manage(source.status?.conditions, timestamp(context.clock.now()));
  const { sinkUri: _, sinkCACerts: __, ...kept } = source.status ?? {};
  const status: SourceStatus = {
    ...kept,
    observedGeneration: source.metadata.generation ?? 0,
    ceAttributes: [{ type: pingEventType, source: pingSourceOf(namespace, name) }],
  };
  manager.markTrue('OIDCIdentityCreated', 'AuthOIDCDisabled', 'no identity is needed: authentication is not in use');
  const found = await resolveDestination(source.spec.sink, namespace, { look: context.look, ingressUrl });
  if (found.is === 'not') {
    schedule.remove(key);
    manager.markFalse('SinkProvided', found.reason, found.message);
    manager.markUnknown('Deployed', 'NoSink', 'nothing is scheduled while there is no sink');
  } else {
    status.sinkUri = found.address.uri;
    manager.markTrue('SinkProvided');
    try {
      schedule.set({ namespace, name, uid, sinkUri: found.address.uri, spec: source.spec });
      manager.markTrue('Deployed');
    } catch (error) {
      manager.markFalse('Deployed', 'InvalidSchedule', `spec.schedule is ${source.spec.schedule}: ${messageOf(error)}`);
    }
  }
  status.conditions = manager.conditions;
  await updateStatus<PingSource & KubeObject>(context, source, status);
}
