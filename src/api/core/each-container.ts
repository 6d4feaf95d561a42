import type { FieldError } from '../field-error.ts';
import type { Container } from './container.ts';
import type { PodSpec } from './pod-spec.ts';

/** What `validate` says of each of the pod's containers, with the path of each. */
export function eachContainer(
  spec: PodSpec,
  at: string,
  validate: (container: Container, path: string) => FieldError[],
): FieldError[] {
  return (['containers', 'initContainers', 'ephemeralContainers'] as const).flatMap((list) =>
    (spec[list] ?? []).flatMap((container, i) => validate(container, `${at}.${list}[${i}]`)),
  );
}
