import type { Kind } from '../../../api/kind.ts';
import { keyOf } from '../../../api/meta.ts';
import { type SinkBinding, SinkBindingKind } from '../../../api/sources/sink-binding.ts';
import { isNotFound } from '../../../api/status.ts';
import { conditionSet } from '../../../kube/conditions.ts';
import { type Run, reconcileInPhases } from '../../../kube/phases.ts';
import type { Controller, ReconcileContext, Watch } from '../../../kube/reconciler.ts';
import { setOrDrop } from '../../../lib/set-or-drop.ts';
import { type ControlOptions, type Resolver, reportDestination, reportIdentity } from '../../control/destination.ts';
import { injectSink, type PodSpecable, removeSink, type SinkVariables, variablesOf } from './inject.ts';
import { bindingOf, isSubject, subjectKindOf, subjectKinds } from './subject.ts';

type ConditionType = 'Ready' | 'SinkProvided' | 'SubjectBound' | 'OIDCIdentityCreated';
const conditions = conditionSet<ConditionType>({
  happy: 'Ready',
  dependents: ['SinkProvided', 'SubjectBound', 'OIDCIdentityCreated'],
});

interface Needs {
  resolver: Resolver;
  /** What the subjects are told; absent while there is no sink. */
  variables?: SinkVariables;
}
type BindingRun = Run<SinkBinding, ConditionType> & Needs;

/** Keeps a binding until its subjects are told that it is gone. */
const finalizer = 'sinkbindings.sources.knative.dev';

/** Tells the sink to subjects that were there before their binding, and takes it back when the binding goes. */
export function sinkBindingController({ ingressUrl }: ControlOptions): Controller<SinkBinding> {
  return {
    name: 'sink-binding',
    kind: SinkBindingKind,
    watches: subjectKinds.map(subjectWatch),
    reconcile: reconcileInPhases<SinkBinding, ConditionType, Needs>({
      conditions,
      begin: (_, { look }) => ({ resolver: { look, ingressUrl } }),
      phases: [addFinalizer, reportIdentity, provideSink, bind],
      finalize: unbind,
    }),
  };
}

function subjectWatch(kind: Kind<PodSpecable>): Watch {
  return {
    kind: kind,
    keys: (object, cache) =>
      cache
        .list(SinkBindingKind, object.metadata.namespace === undefined ? {} : { namespace: object.metadata.namespace })
        .filter((binding) => isSubject(binding, kind, object))
        .map(keyOf),
  };
}

async function addFinalizer(run: BindingRun, { client }: ReconcileContext): Promise<void> {
  const { metadata } = run.object;
  if (metadata.finalizers?.includes(finalizer)) return;
  const finalizers = [...(metadata.finalizers ?? []), finalizer];
  run.object = await client.update(SinkBindingKind, { ...run.object, metadata: { ...metadata, finalizers } });
}

async function provideSink(run: BindingRun): Promise<void> {
  const address = await reportDestination(run, 'SinkProvided', run.object.spec.sink);
  setOrDrop(run.status, 'sinkUri', address?.uri);
  setOrDrop(run.status, 'sinkCACerts', address?.ca);
  if (address) run.variables = variablesOf(run.object, address);
}

async function bind({ object: binding, conditions, variables }: BindingRun, context: ReconcileContext): Promise<void> {
  if (!variables) {
    conditions.markUnknown('SubjectBound', 'NoSink', 'there is no sink to tell the subject of');
    return;
  }
  const { subject } = binding.spec;
  const kind = subjectKindOf(binding);
  if (!kind) {
    const supported = subjectKinds.map((k) => k.kind).join(' and ');
    const message = `${subject.apiVersion} ${subject.kind} cannot be bound: subjects are a Knative ${supported}`;
    conditions.markFalse('SubjectBound', 'SubjectKindNotSupported', message);
    return;
  }
  const subjects = subjectsOf(binding, kind, context);
  if (subjects.length === 0 && subject.name) {
    conditions.markFalse('SubjectBound', 'SubjectMissing', `${subject.kind} "${subject.name}" does not exist`);
    return;
  }
  const bindings = context.cache.list(SinkBindingKind, { namespace: binding.metadata.namespace ?? '' });
  const other = subjects
    .map((object) => bindingOf(bindings, kind, object))
    .find((winner) => winner?.metadata.uid !== binding.metadata.uid);
  if (other) {
    await context.look(SinkBindingKind, keyOf(other)); // When it goes, this one has its turn.
    const message = `the subject is bound by the older SinkBinding "${other.metadata.name}": delete one of the two`;
    conditions.markFalse('SubjectBound', 'SubjectAlreadyBound', message);
    return;
  }
  for (const object of subjects) await change(object, kind, context, (copy) => injectSink(copy, variables));
  conditions.markTrue('SubjectBound');
}

async function unbind(binding: SinkBinding, context: ReconcileContext): Promise<void> {
  const { finalizers = [] } = binding.metadata;
  if (!finalizers.includes(finalizer)) return;
  const kind = subjectKindOf(binding);
  for (const object of kind ? subjectsOf(binding, kind, context) : []) {
    if (kind) await change(object, kind, context, removeSink);
  }
  const metadata = { ...binding.metadata, finalizers: finalizers.filter((name) => name !== finalizer) };
  await context.client.update(SinkBindingKind, { ...binding, metadata });
}

function subjectsOf(binding: SinkBinding, kind: Kind<PodSpecable>, { cache }: ReconcileContext): PodSpecable[] {
  const { namespace } = binding.metadata;
  return cache
    .list(kind, namespace === undefined ? {} : { namespace })
    .filter((object) => object.metadata.deletionTimestamp === undefined)
    .filter((object) => isSubject(binding, kind, object));
}

/** Writes the subject only when `apply` changes something, so that nothing comes of a binding that is in place. */
async function change(
  object: PodSpecable,
  kind: Kind<PodSpecable>,
  { client }: ReconcileContext,
  apply: (copy: PodSpecable) => boolean,
): Promise<void> {
  const copy = structuredClone(object);
  if (!apply(copy)) return;
  try {
    await client.update(kind, copy);
  } catch (error) {
    // A subject that has gone meanwhile needs nothing any more.
    if (!isNotFound(error)) throw error;
  }
}
