import { parseQuantity, quantityRule } from '../core/quantity.ts';
import { tolerationsSchema } from '../core/scheduling.ts';
import { type FieldError, fieldInvalid } from '../field-error.ts';
import { ageColumn, defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { dnsLabelRule, isDnsLabel } from '../names.ts';
import { intOrString, map, object, string, type ValueOf } from '../schema.ts';

const runtimeClassSchema = object(
  {
    handler: string({ description: 'What the node knows the way of running a pod by; it never changes.' }),
    overhead: object({ podFixed: map(intOrString(), { description: 'What a pod takes besides its containers.' }) }),
    scheduling: object({ nodeSelector: map(), tolerations: tolerationsSchema }),
  },
  { required: ['handler'] },
);

/** A way of running pods, which they choose by `runtimeClassName`. */
export interface RuntimeClass extends KubeObject, ValueOf<typeof runtimeClassSchema> {}

export const RuntimeClassKind = defineKind<RuntimeClass>({
  group: 'node.k8s.io',
  version: 'v1',
  kind: 'RuntimeClass',
  plural: 'runtimeclasses',
  isNamespaced: false,
  hasStatus: false,
  schema: runtimeClassSchema,
  columns: [{ name: 'Handler', type: 'string', jsonPath: '.handler' }, ageColumn],
  validate({ handler, overhead }, { old }) {
    const errors: FieldError[] = isDnsLabel(handler) ? [] : [fieldInvalid('handler', handler, dnsLabelRule)];
    if (old && old.handler !== handler) errors.push(fieldInvalid('handler', handler, 'field is immutable'));
    for (const [name, quantity] of Object.entries(overhead?.podFixed ?? {})) {
      const path = `overhead.podFixed[${name}]`;
      const value = parseQuantity(quantity);
      if (value === undefined) errors.push(fieldInvalid(path, quantity, quantityRule));
      else if (value < 0) errors.push(fieldInvalid(path, quantity, 'must be greater than or equal to 0'));
    }
    return errors;
  },
});
