import { nextTraceparent } from '../observe/trace.ts';
import { headerOf } from './cloudevents/http.ts';

/** Headers beside the event that travel from a producer to the subscribers, and from a reply on (Knative's list). */
const passed = /^(?:x-request-id|tracestate|knative-.+|x-b3-.+)$/i;
const passedInitials = new Set(['x', 'X', 't', 'T', 'k', 'K']);

/** Of all that travels along, so that there is room for the event: more is left out, as tracing allows for. */
const passedBytesMax = 4096;

/**
 * What travels along with an event, names and values in turn. There is always a traceparent: that of `rawHeaders`
 * continued, or a new one, so that all deliveries of one event are one trace.
 */
export function passThrough(rawHeaders: readonly string[]): string[] {
  let traceparent: string | undefined;
  const headers: string[] = [];
  let bytes = 0;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    if (!passedInitials.has(name[0] ?? '')) continue;
    const value = rawHeaders[i + 1] ?? '';
    if (name.length === 11 && name.toLowerCase() === 'traceparent') traceparent = value;
    else if (passed.test(name)) {
      bytes += name.length + value.length + 4;
      if (bytes <= passedBytesMax) headers.push(name.toLowerCase(), value);
    }
  }
  headers.push('traceparent', nextTraceparent(traceparent));
  return headers;
}

/** The headers of a reply event: the reply's own, in the trace of the event that it answers. */
export function replyHeaders(replied: readonly string[], original: readonly string[]): string[] {
  const trace = headerOf(original, 'traceparent');
  const headers = passThrough(replied);
  if (trace !== undefined && headerOf(replied, 'traceparent') === undefined) {
    headers[headers.length - 1] = nextTraceparent(trace);
  }
  return headers;
}

/** The same headers with a new parent in traceparent, as each hop has its own. */
export function nextHop(headers: readonly string[]): string[] {
  return headers.map((value, i) => (headers[i - 1] === 'traceparent' && i % 2 === 1 ? nextTraceparent(value) : value));
}
