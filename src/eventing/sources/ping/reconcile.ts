import { keyOf, keyText } from '../../../api/meta.ts';
import { type PingSource, PingSourceKind, pingEventType } from '../../../api/sources/ping-source.ts';
import { conditionSet } from '../../../kube/conditions.ts';
import { type Run, reconcileInPhases } from '../../../kube/phases.ts';
import type { Controller, ReconcileContext } from '../../../kube/reconciler.ts';
import { messageOf } from '../../../lib/errors.ts';
import { setOrDrop } from '../../../lib/set-or-drop.ts';
import { type ControlOptions, type Resolver, reportDestination, reportIdentity } from '../../control/destination.ts';
import { Poster } from '../../poster.ts';
import { sendWith } from '../../send.ts';
import { PingSchedule, pingSourceOf } from './schedule.ts';

type ConditionType = 'Ready' | 'SinkProvided' | 'Deployed' | 'OIDCIdentityCreated';
const conditions = conditionSet<ConditionType>({
  happy: 'Ready',
  dependents: ['SinkProvided', 'Deployed', 'OIDCIdentityCreated'],
});

interface Needs {
  resolver: Resolver;
  schedule: PingSchedule;
}
type PingRun = Run<PingSource, ConditionType> & Needs;

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
    reconcile: reconcileInPhases<PingSource, ConditionType, Needs>({
      conditions,
      begin(_, context) {
        schedule ??= startSchedule(context, options);
        return { schedule, resolver: { look: context.look, ingressUrl: options.ingressUrl } };
      },
      phases: [reportIdentity, provideSink, deploy],
      finalize: (source) => schedule?.remove(keyText(keyOf(source))),
    }),
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

async function provideSink(run: PingRun): Promise<void> {
  const { name, namespace = '' } = run.object.metadata;
  run.status.ceAttributes = [{ type: pingEventType, source: pingSourceOf(namespace, name) }];
  const address = await reportDestination(run, 'SinkProvided', run.object.spec.sink);
  setOrDrop(run.status, 'sinkUri', address?.uri);
  delete run.status.sinkCACerts;
}

function deploy({ object: source, status: { sinkUri }, conditions, schedule }: PingRun): void {
  const { name, namespace = '', uid = '' } = source.metadata;
  if (sinkUri === undefined) {
    schedule.remove(keyText(keyOf(source)));
    conditions.markUnknown('Deployed', 'NoSink', 'nothing is scheduled while there is no sink');
    return;
  }
  try {
    schedule.set({ namespace, name, uid, sinkUri, spec: source.spec });
    conditions.markTrue('Deployed');
  } catch (error) {
    const message = `spec.schedule is ${source.spec.schedule}: ${messageOf(error)}`;
    conditions.markFalse('Deployed', 'InvalidSchedule', message);
  }
}
