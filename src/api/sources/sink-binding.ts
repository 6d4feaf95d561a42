import { defaultDestination, destinationSchema, validateDestination } from '../eventing/destination.ts';
import { type FieldError, fieldForbidden, fieldRequired } from '../field-error.ts';
import { ageColumn, conditionColumns, defineKind } from '../kind.ts';
import { type KubeObject, labelSelectorSchema } from '../meta.ts';
import { object, string, type ValueOf } from '../schema.ts';
import { ceOverridesSchema, sourceStatusSchema, validateOverrides } from './source.ts';

const specSchema = object(
  {
    sink: { ...destinationSchema, description: 'Where the events go.' },
    ceOverrides: ceOverridesSchema,
    subject: object(
      {
        apiVersion: string(),
        kind: string(),
        namespace: string(),
        name: string({ description: 'Name of the subject; instead of a selector.' }),
        selector: labelSelectorSchema,
      },
      { present: ['apiVersion', 'kind'], description: 'Whose containers get K_SINK and K_CE_OVERRIDES.' },
    ),
  },
  { present: ['sink', 'subject'] },
);

export interface SinkBindingSpec extends ValueOf<typeof specSchema> {}

const sinkBindingSchema = object({ spec: specSchema, status: sourceStatusSchema }, { present: ['spec'] });

/** Tells the containers of its subject, by the variable K_SINK, where to send events. */
export interface SinkBinding extends KubeObject, ValueOf<typeof sinkBindingSchema> {}
/** One object by name, or all of a kind in the namespace that a selector picks. */
export type Subject = SinkBindingSpec['subject'];

export const SinkBindingKind = defineKind<SinkBinding>({
  group: 'sources.knative.dev',
  version: 'v1',
  kind: 'SinkBinding',
  categories: ['all', 'knative', 'sources', 'bindings'],
  schema: sinkBindingSchema,
  columns: [{ name: 'Sink', type: 'string', jsonPath: '.status.sinkUri' }, ageColumn, ...conditionColumns('Ready')],
  setDefaults(binding) {
    const namespace = binding.metadata.namespace;
    if (binding.spec?.subject && namespace !== undefined) binding.spec.subject.namespace ??= namespace;
    defaultDestination(binding.spec?.sink, namespace);
  },
  validate(binding) {
    const spec: Partial<SinkBindingSpec> = binding.spec ?? {};
    return [
      ...validateDestination('spec.sink', spec.sink),
      ...validateSubject(spec.subject, binding.metadata.namespace),
      ...validateOverrides('spec.ceOverrides', spec.ceOverrides),
    ];
  },
});

function validateSubject(subject: Subject | undefined, namespace: string | undefined): FieldError[] {
  const field = 'spec.subject';
  if (!subject) return [fieldRequired(field, 'say whose containers get K_SINK')];
  const errors: FieldError[] = [];
  for (const part of ['apiVersion', 'kind'] as const) {
    if (!subject[part]) errors.push(fieldRequired(`${field}.${part}`, `name the ${part} of the subject`));
  }
  if (subject.namespace !== undefined && subject.namespace !== namespace) {
    const why = `"${subject.namespace}" is not the namespace of the binding`;
    errors.push(fieldForbidden(`${field}.namespace`, `${why}: create the binding beside its subject`));
  }
  if (subject.name && subject.selector) {
    errors.push(fieldForbidden(`${field}.selector`, 'name and selector are both given: keep one'));
  }
  if (!subject.name && !subject.selector) {
    errors.push(fieldRequired(`${field}.name`, `give ${field}.name or ${field}.selector`));
  }
  return errors;
}
