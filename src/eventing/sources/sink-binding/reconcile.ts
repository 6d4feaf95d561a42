import type { Kind } from '../../../api/kind.ts';
import { keyOf, timestamp } from '../../../api/meta.ts';
import { type SinkBinding, SinkBindingKind } from '../../../api/sources/sink-binding.ts';
import type { SourceStatus } from '../../../api/sources/source.ts';
import { isNotFound } from '../../../api/status.ts';
import { conditionSet } from '../../../kube/conditions.ts';
import type { Controller, ReconcileContext, Watch } from '../../../kube/reconciler.ts';
import { updateStatus } from '../../../kube/update-status.ts';
import { type ControlOptions, resolveDestination } from '../../control/destination.ts';
import { injectSink, type PodSpecable, removeSink, type SinkVariables } from './inject.ts';
import { bindingOf, isSubject, subjectKindOf, subjectKinds } from './subject.ts';

type Type = 'Ready' | 'SinkProvided' | 'SubjectBound' | 'OIDCIdentityCreated';
const conditions = conditionSet<Type>({
  happy: 'Ready',
  dependents: ['SinkProvided', 'SubjectBound', 'OIDCIdentityCreated'],
});

/** Keeps a binding until its subjects are told that it is gone. */
const finalizer = 'sinkbindings.sources.knative.dev';

/** Tells the sink to subjects that were there before their binding, and takes it back when the binding goes. */
export function sinkBindingController(options: ControlOptions): Controller<SinkBinding> {
  return {
    name: 'sink-binding',
    kind: SinkBindingKind,
    watches: subjectKinds.map(subjectWatch),
    reconcile: (binding, context) => reconcile(binding, context, options),
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

async function reconcile(
  binding: SinkBinding,
  context: ReconcileContext,
  { ingressUrl }: ControlOptions,
): Promise<void> {
  if (binding.metadata.deletionTimestamp !== undefined) return unbind(binding, context);
  if (!binding.metadata.finalizers?.includes(finalizer)) {
    const finalizers = [...(binding.metadata.finalizers ?? []), finalizer];
    // Its change calls again.
    await context.client.update(SinkBindingKind, { ...binding, metadata: { ...binding.metadata, finalizers } });
    return;
  }
  const manager = conditions.manage(binding.status?.conditions, timestamp(context.clock.now()));
  const { sinkUri: _, sinkCACerts: __, ...kept } = binding.status ?? {};
  const status: SourceStatus = { ...kept, observedGeneration: binding.metadata.generation ?? 0 };
  manager.markTrue('OIDCIdentityCreated', 'AuthOIDCDisabled', 'no identity is needed: authentication is not in use');
  const found = await resolveDestination(binding.spec.sink, binding.metadata.namespace ?? '', {
    look: context.look,
    ingressUrl,
  });
  if (found.is === 'not') {
    manager.markFalse('SinkProvided', found.reason, found.message);
    manager.markUnknown('SubjectBound', 'NoSink', 'there is no sink to tell the subject of');
  } else {
    const { uri, ca } = found.address;
    status.sinkUri = uri;
    if (ca !== undefined) status.sinkCACerts = ca;
    manager.markTrue('SinkProvided');
    const overrides = binding.spec.ceOverrides;
    await bind({ sinkUri: uri, ...(ca !== undefined && { ca }), ...(overrides && { overrides }) });
  }
  status.conditions = manager.conditions;
  await updateStatus(context, binding, status);

  async function bind(variables: SinkVariables): Promise<void> {
    const { subject } = binding.spec;
    const kind = subjectKindOf(binding);
    if (!kind) {
      const supported = subjectKinds.map((k) => k.kind).join(' and ');
      const message = `${subject.apiVersion} ${subject.kind} cannot be bound: subjects are a Knative ${supported}`;
      manager.markFalse('SubjectBound', 'SubjectKindNotSupported', message);
      return;
    }
    const subjects = subjectsOf(binding, kind, context);
    if (subjects.length === 0 && subject.name) {
      manager.markFalse('SubjectBound', 'SubjectMissing', `${subject.kind} "${subject.name}" does not exist`);
      return;
    }
    const bindings = context.cache.list(SinkBindingKind, { namespace: binding.metadata.namespace ?? '' });
    const other = subjects
      .map((object) => bindingOf(bindings, kind, object))
      .find((winner) => winner?.metadata.uid !== binding.metadata.uid);
    if (other) {
      await context.look(SinkBindingKind, keyOf(other)); // When it goes, this one has its turn.
      const message = `the subject is bound by the older SinkBinding "${other.metadata.name}": delete one of the two`;
      manager.markFalse('SubjectBound', 'SubjectAlreadyBound', message);
      return;
    }
    for (const object of subjects) await change(object, kind, context, (copy) => injectSink(copy, variables));
    manager.markTrue('SubjectBound');
  }
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
