import type { CloudEvent } from '../cloudevents/event.ts';
import type { Failure } from './outcome.ts';

const errorDataMax = 1024;

/** The event that could not be delivered to `destination`, with why: Knative's error extension attributes. */
export function deadLetter(event: CloudEvent, destination: string, failure: Failure): CloudEvent {
  const attributes = {
    ...event.attributes,
    knativeerrordest: destination,
    knativeerrorcode: failure.code,
    knativeerrordata: failure.data.toString('base64').slice(0, errorDataMax),
  };
  return event.data === undefined ? { attributes } : { attributes, data: event.data };
}
