import { type FieldError, fieldForbidden, fieldInvalid } from '../field-error.ts';
import type { Conditioned } from '../meta.ts';
import { conditionsSchema, integer, map, object, type Schema, string } from '../schema.ts';

/** Extension attributes that a source sets on each of its events. */
export interface CloudEventOverrides {
  extensions?: Record<string, string>;
}

/** What every source reports (Knative's duck type Source). */
export interface SourceStatus extends Conditioned {
  annotations?: Record<string, string>;
  sinkUri?: string;
  sinkCACerts?: string;
  ceAttributes?: { type: string; source: string }[];
}

export const ceOverridesSchema: Schema = object({
  extensions: map(string(), { description: 'Extension attributes that are set on each event.' }),
});

export const sourceStatusSchema: Schema = object({
  observedGeneration: integer({ format: 'int64' }),
  annotations: map(),
  conditions: conditionsSchema,
  sinkUri: string(),
  sinkCACerts: string(),
  sinkAudience: string(),
  ceAttributes: { type: 'array', items: object({ type: string(), source: string() }) },
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
