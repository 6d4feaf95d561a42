import { sameJson } from '../../lib/same-json.ts';
import { type FieldError, fieldForbidden, fieldInvalid } from '../field-error.ts';
import type { Container, PodSpec } from './pod-spec.ts';

/** A container that is added to a pod that runs, to look into it (`kubectl debug`). */
export type EphemeralContainer = NonNullable<PodSpec['ephemeralContainers']>[number];

/** What nobody waits for, serves or reserves: as in Kubernetes' pkg/apis/core/validation. */
const forbidden = ['ports', 'lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe', 'resizePolicy'] as const;
const notForThese = 'cannot be set for an Ephemeral Container';

/** What of them is wrong beyond what is with any container; `at` is the path of the pod's spec. */
export function validateEphemeralContainers(spec: PodSpec, at: string): FieldError[] {
  const targets = [...(spec.containers ?? []), ...(spec.initContainers ?? [])].map(({ name }) => name);
  return (spec.ephemeralContainers ?? []).flatMap((container, i) => {
    const path = `${at}.ephemeralContainers[${i}]`;
    const set = forbidden.filter((field) => (container as Container)[field] !== undefined);
    const errors = set.map((field) => fieldForbidden(`${path}.${field}`, notForThese));
    const { resources = {}, restartPolicy, volumeMounts = [] } = container as Container;
    if (Object.keys(resources).length > 0) errors.push(fieldForbidden(`${path}.resources`, notForThese));
    if (restartPolicy !== undefined) errors.push(fieldForbidden(`${path}.restartPolicy`, notForThese));
    for (const [m, mount] of volumeMounts.entries()) {
      for (const field of ['subPath', 'subPathExpr'] as const) {
        if (mount[field]) errors.push(fieldForbidden(`${path}.volumeMounts[${m}].${field}`, notForThese));
      }
    }
    const { targetContainerName: target } = container;
    if (target && !targets.includes(target)) {
      errors.push({
        field: `${path}.targetContainerName`,
        reason: 'FieldValueInvalid',
        message: `Not found: ${JSON.stringify(target)}`,
      });
    }
    return errors;
  });
}

/** They are only ever added. */
export function validateEphemeralContainersUpdate(spec: PodSpec, old: PodSpec): FieldError[] {
  const field = 'spec.ephemeralContainers';
  const now = new Map((spec.ephemeralContainers ?? []).map((container) => [container.name, container]));
  const changed = (old.ephemeralContainers ?? []).flatMap(({ name, ...before }): FieldError[] => {
    const found = now.get(name);
    const says = (what: string) =>
      fieldForbidden(field, `existing ephemeral containers "${name}" may not be ${what}\n`);
    if (!found) return [says('removed')];
    return sameJson({ ...found, name: undefined }, { ...before, name: undefined }) ? [] : [says('changed')];
  });
  const names = (spec.ephemeralContainers ?? []).length;
  if (names !== now.size) changed.push(fieldInvalid(field, names, 'names must be unique'));
  return changed;
}
