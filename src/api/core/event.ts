import { defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { anything, integer, object, type Schema, string } from '../schema.ts';

export interface ObjectReference {
  apiVersion?: string;
  kind?: string;
  namespace?: string;
  name?: string;
  uid?: string;
  resourceVersion?: string;
  fieldPath?: string;
}

/** What happened to an object, for people: `kubectl describe` prints them. */
export interface CoreEvent extends KubeObject {
  involvedObject: ObjectReference;
  type?: 'Normal' | 'Warning';
  reason?: string;
  message?: string;
  source?: { component?: string; host?: string };
  firstTimestamp?: string;
  lastTimestamp?: string;
  count?: number;
  eventTime?: string | null;
  reportingComponent?: string;
  reportingInstance?: string;
  action?: string;
  related?: ObjectReference;
}

export const objectReferenceSchema: Schema = object({
  apiVersion: string(),
  kind: string(),
  namespace: string(),
  name: string(),
  uid: string(),
  resourceVersion: string(),
  fieldPath: string(),
});

export const EventKind = defineKind<CoreEvent>({
  group: '',
  version: 'v1',
  kind: 'Event',
  shortNames: ['ev'],
  hasStatus: false,
  schema: object(
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
      series: anything(),
      reportingComponent: string(),
      reportingInstance: string(),
      action: string(),
      related: objectReferenceSchema,
    },
    { required: ['involvedObject'] },
  ),
  columns: [
    { name: 'Last Seen', type: 'date', jsonPath: '.lastTimestamp' },
    { name: 'Type', type: 'string', jsonPath: '.type' },
    { name: 'Reason', type: 'string', jsonPath: '.reason' },
    { name: 'Object', type: 'string', jsonPath: '.involvedObject.name' },
    { name: 'Message', type: 'string', jsonPath: '.message' },
  ],
});
