import { DeploymentKind } from '../../../api/apps/deployment.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/meta.ts';
import { selects } from '../../../api/selector.ts';
import { ServiceKind } from '../../../api/serving/service.ts';
import type { SinkBinding } from '../../../api/sources/sink-binding.ts';
import type { PodSpecable } from './inject.ts';

/** The kinds whose pods a SinkBinding can change. */
export const subjectKinds: readonly Kind<PodSpecable>[] = [ServiceKind, DeploymentKind];

/** The kind that the binding's subject names, if it is one that can be bound. */
export function subjectKindOf(binding: SinkBinding): Kind<PodSpecable> | undefined {
  const { apiVersion = '', kind } = binding.spec.subject;
  const group = apiVersion.split('/')[0];
  return subjectKinds.find((known) => known.kind === kind && known.group === group);
}

/** Whether `object` is one of the binding's subjects. */
export function isSubject(binding: SinkBinding, kind: Kind, object: KubeObject): boolean {
  const { subject } = binding.spec;
  const own = subjectKindOf(binding);
  if (own?.kind !== kind.kind || own.group !== kind.group) return false;
  if (binding.metadata.namespace !== object.metadata.namespace) return false;
  // What another object controls follows that one: a binding changes the pods of a Service through the Service.
  if (object.metadata.ownerReferences?.some((owner) => owner.controller)) return false;
  if (subject.name) return subject.name === object.metadata.name;
  return subject.selector !== undefined && selects(subject.selector, object.metadata.labels);
}

/**
 * The binding, among `bindings`, that the subject follows: the oldest, so that two for one subject do not undo each
 * other's work for ever.
 */
export function bindingOf(bindings: readonly SinkBinding[], kind: Kind, object: KubeObject): SinkBinding | undefined {
  return bindings
    .filter((binding) => binding.metadata.deletionTimestamp === undefined && isSubject(binding, kind, object))
    .toSorted((a, b) => (ageOf(a) < ageOf(b) ? -1 : 1))[0];
}

const ageOf = ({ metadata }: SinkBinding): string => `${metadata.creationTimestamp ?? ''} ${metadata.name}`;
