import { type FieldError, fieldForbidden, fieldInvalid } from '../field-error.ts';
import { statusFields } from '../meta.ts';
import { array, map, object, string, type ValueOf } from '../schema.ts';

export const ceOverridesSchema = object({
  extensions: map(string(), { description: 'Extension attributes that are set on each event.' }),
});

/** Extension attributes that a source sets on each of its events. */
export interface CloudEventOverrides extends ValueOf<typeof ceOverridesSchema> {}

/** What every source reports (Knative's duck type Source). */
export const sourceStatusSchema = object({
  ...statusFields,
  sinkUri: string(),
  sinkCACerts: string(),
  sinkAudience: string(),
  ceAttributes: array(object({ type: string(), source: string() }, { present: ['type', 'source'] })),
});

const contextAttributes = new Set(
  'id source specversion type datacontenttype dataschema subject time data data_base64'.split(' '),
);

/** The overrides may add extensions, not change what identifies the event. */
export function validateOverrides(field: string, overrides: CloudEventOverrides | undefined): FieldError[] {
  return Object.keys(overrides?.extensions ?? {}).flatMap((name) => {
    const at = `${field}.extensions.${name}`;
    if (contextAttributes.has(name)) return [fieldForbidden(at, `"${name}" is not an extension: choose another name`)];
    if (!/^[a-z0-9]+$/.test(name)) return [fieldInvalid(at, name, 'extension names hold only a-z and 0-9')];
    return [];
  });
}
