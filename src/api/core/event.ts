import { defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { integer, object, string, type ValueOf } from '../schema.ts';

export const objectReferenceSchema = object({
  apiVersion: string(),
  kind: string(),
  namespace: string(),
  name: string(),
  uid: string(),
  resourceVersion: string(),
  fieldPath: string(),
});

export interface ObjectReference extends ValueOf<typeof objectReferenceSchema> {}

const eventSchema = object(
  {
    involvedObject: objectReferenceSchema,
    type: string(),
    reason: string(),
    message: string(),
    source: object({ component: string(), host: string() }),
    firstTimestamp: string({ format: 'date-time', nullable: true }),
    lastTimestamp: string({ format: 'date-time', nullable: true }),
    count: integer({ format: 'int32' }),
    eventTime: string({ format: 'date-time', nullable: true }),
    series: object({
      count: integer({ format: 'int32' }),
      lastObservedTime: string({ format: 'date-time', nullable: true }),
    }),
    reportingComponent: string(),
    reportingInstance: string(),
    action: string(),
    related: objectReferenceSchema,
  },
  { required: ['involvedObject'] },
);

/** What happened to an object, for people: `kubectl describe` prints them. */
export interface CoreEvent extends KubeObject, ValueOf<typeof eventSchema> {}

export const EventKind = defineKind<CoreEvent>({
  group: '',
  version: 'v1',
  kind: 'Event',
  shortNames: ['ev'],
  hasStatus: false,
  schema: eventSchema,
  columns: [
    { name: 'Last Seen', type: 'date', jsonPath: '.lastTimestamp' },
    { name: 'Type', type: 'string', jsonPath: '.type' },
    { name: 'Reason', type: 'string', jsonPath: '.reason' },
    { name: 'Object', type: 'string', jsonPath: '.involvedObject.name' },
    { name: 'Message', type: 'string', jsonPath: '.message' },
  ],
});
