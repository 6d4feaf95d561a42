import { Cron } from 'croner';
import { defaultDestination, destinationSchema, validateDestination } from '../eventing/destination.ts';
import { type FieldError, fieldForbidden, fieldInvalid } from '../field-error.ts';
import { ageColumn, conditionColumns, defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { object, string, type ValueOf } from '../schema.ts';
import { ceOverridesSchema, sourceStatusSchema, validateOverrides } from './source.ts';

export const pingEventType = 'dev.knative.sources.ping';

const specSchema = object(
  {
    sink: { ...destinationSchema, description: 'Where the events go.' },
    ceOverrides: ceOverridesSchema,
    schedule: string({
      default: '* * * * *',
      description: 'Cron: [second] minute hour day-of-month month day-of-week.',
    }),
    timezone: string({ description: 'IANA time zone of the schedule; UTC when left out.' }),
    contentType: string({ description: 'Media type of the data.' }),
    data: string({ description: 'The data of each event.' }),
    dataBase64: string({ description: 'The data of each event, as base64; instead of `data`.' }),
  },
  { present: ['sink'] },
);

export interface PingSourceSpec extends ValueOf<typeof specSchema> {}

const pingSourceSchema = object({ spec: specSchema, status: sourceStatusSchema }, { present: ['spec'] });

/** Sends an event with fixed data to its sink on a schedule. */
export interface PingSource extends KubeObject, ValueOf<typeof pingSourceSchema> {}

export const PingSourceKind = defineKind<PingSource>({
  group: 'sources.knative.dev',
  version: 'v1',
  kind: 'PingSource',
  categories: ['all', 'knative', 'sources'],
  schema: pingSourceSchema,
  columns: [
    { name: 'Sink', type: 'string', jsonPath: '.status.sinkUri' },
    { name: 'Schedule', type: 'string', jsonPath: '.spec.schedule' },
    ageColumn,
    ...conditionColumns('Ready'),
  ],
  setDefaults(source) {
    if (source.spec?.schedule === '') source.spec.schedule = '* * * * *';
    defaultDestination(source.spec?.sink, source.metadata.namespace);
  },
  validate(source) {
    const spec: Partial<PingSourceSpec> = source.spec ?? {};
    return [
      ...validateDestination('spec.sink', spec.sink),
      ...validateOverrides('spec.ceOverrides', spec.ceOverrides),
      ...validateSchedule(spec),
      ...validateData(spec),
    ];
  },
});

/** The schedule as a Cron that runs nothing: ask it for `nextRun(from)`. Throws when the schedule or zone is wrong. */
export function cronOf(spec: Pick<PingSourceSpec, 'schedule' | 'timezone'>): Cron {
  return new Cron(spec.schedule ?? '* * * * *', { paused: true, timezone: spec.timezone ?? 'UTC' });
}

function validateSchedule(spec: Partial<PingSourceSpec>): FieldError[] {
  const schedule = spec.schedule ?? '* * * * *';
  const errors: FieldError[] = [];
  if (spec.timezone !== undefined && !isTimezone(spec.timezone)) {
    errors.push(fieldInvalid('spec.timezone', spec.timezone, 'must be an IANA time zone, for example "Europe/Berlin"'));
  }
  if (/^@every\b/.test(schedule)) {
    errors.push(fieldInvalid('spec.schedule', schedule, '@every is not supported: write it as cron, "*/5 * * * *"'));
    return errors;
  }
  const example = 'must be cron with 5 fields, or 6 with seconds first, for example "0 2 * * *"';
  const fields = schedule.trim().split(/\s+/).length;
  if (!schedule.startsWith('@') && fields !== 5 && fields !== 6) {
    errors.push(fieldInvalid('spec.schedule', schedule, `has ${fields} fields: ${example}`));
    return errors;
  }
  try {
    cronOf({ schedule });
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^CronPattern: /, '') : String(error);
    errors.push(fieldInvalid('spec.schedule', schedule, `${why}: ${example}`));
  }
  return errors;
}

function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return name !== '';
  } catch {
    // RangeError is how Intl says that it knows no such zone.
    return false;
  }
}

function validateData(spec: Partial<PingSourceSpec>): FieldError[] {
  if (spec.data && spec.dataBase64) {
    return [fieldForbidden('spec.dataBase64', 'data and dataBase64 are both given: keep one')];
  }
  if (spec.dataBase64 && !/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(spec.dataBase64)) {
    return [fieldInvalid('spec.dataBase64', spec.dataBase64, 'must be base64 with padding')];
  }
  const isJson = /^(application|text)\/json(;|$)/.test(spec.contentType ?? '');
  if (spec.data && isJson && !isJsonText(spec.data)) {
    return [fieldInvalid('spec.data', spec.data, `must be JSON, as contentType is "${spec.contentType}"`)];
  }
  return [];
}

function isJsonText(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    // The question is only whether it parses.
    return false;
  }
}
