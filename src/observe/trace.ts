import { randomHex } from '../lib/random-hex.ts';

/** W3C Trace Context (https://www.w3.org/TR/trace-context/): version-traceid-parentid-flags in lower-case hex. */
const traceparentPattern = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/;

/** Whether `value` is a traceparent that must be continued rather than restarted. */
export function isTraceparent(value: string | undefined): value is string {
  return value !== undefined && traceparentPattern.test(value);
}

/** The traceparent to send on: the same trace with a new parent id; a new, unsampled one when there is none. */
export function nextTraceparent(incoming: string | undefined): string {
  const parentId = randomHex(8);
  if (!isTraceparent(incoming)) return `00-${randomHex(16)}-${parentId}-00`;
  return `00-${incoming.slice(3, 35)}-${parentId}-${incoming.slice(53, 55)}`;
}
