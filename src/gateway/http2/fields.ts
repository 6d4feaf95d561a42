import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';

/** What concerns one hop of HTTP/1 has no place in HTTP/2 (RFC 9113 §8.2.2), in either direction. */
const hopOnly = new Set(['connection', 'host', 'http2-settings', 'keep-alive', 'proxy-connection']);
for (const name of ['transfer-encoding', 'upgrade']) hopOnly.add(name);

/** Complete lines (`name: value\r\n`) as the headers of a request, or as its trailers. */
export function headersOf(lines: string): OutgoingHttpHeaders {
  const headers: Record<string, string[]> = Object.create(null);
  for (let start = 0; start < lines.length; ) {
    const end = lines.indexOf('\r\n', start);
    const colon = lines.indexOf(':', start);
    const name = lines.slice(start, colon).toLowerCase();
    const value = lines.slice(colon + 1, end).trim();
    start = end + 2;
    // Of what TE can say, HTTP/2 knows only this.
    if (hopOnly.has(name) || (name === 'te' && value !== 'trailers')) continue;
    headers[name] = [...(headers[name] ?? []), value];
  }
  // Where a field may stand only once, a list of one would be refused.
  return Object.fromEntries(
    Object.entries(headers).map(([name, values]) => [name, values.length > 1 ? values : values[0]]),
  );
}

/** The headers of a reply, or its trailers, as complete lines. nghttp2 has refused what no value may hold. */
export function linesOf(headers: IncomingHttpHeaders): string {
  let lines = '';
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(':') || hopOnly.has(name) || value === undefined) continue;
    for (const each of Array.isArray(value) ? value : [value]) lines += `${name}: ${each}\r\n`;
  }
  return lines;
}

/** RFC 9113 §7, by code. */
const errorCodes = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
];

/** The name of an error code, for messages. */
export const errorName = (code: number): string => errorCodes[code] ?? `error ${code}`;
