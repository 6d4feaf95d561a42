import { invalidEvent, shown } from './event.ts';

/**
 * Attribute values in HTTP headers (CloudEvents HTTP binding 1.0.2, §3.1.3.2): space, `"`, `%` and everything outside
 * U+0021–U+007E travel as percent-encoded UTF-8. Example: `Euro €` is `Euro%20%E2%82%AC`. What is no text (half of a
 * surrogate pair, which no valid event has) becomes U+FFFD.
 */
export function encodeHeaderValue(value: string): string {
  return mustEncode.test(value) ? value.toWellFormed().replace(mustEncodeAll, encodeURIComponent) : value;
}

const mustEncode = /[^!#$&-~]/;
const mustEncodeAll = /[^!#$&-~]+/gu;

/**
 * The attribute value of a header, given as latin1 text as Node does. A double-quoted value is unquoted first, then
 * there is exactly one pass of percent-decoding; bytes that are not UTF-8 throw EVENT_INVALID. A `%` that no two hex
 * digits follow stands for itself, as do raw UTF-8 bytes: peers that do not encode send such values.
 */
export function decodeHeaderValue(header: string, name: string): string {
  const value = header.startsWith('"') ? unquote(header) : header;
  if (!mayNeedDecoding.test(value)) return value;
  const bytes = Buffer.from(value, 'latin1');
  try {
    return utf8.decode(percentDecoded(bytes));
  } catch (cause) {
    throw invalidEvent(`"${name}" is ${shown(header)}, which does not decode to UTF-8 (${String(cause)})`);
  }
}

const mayNeedDecoding = /[%\u0080-\uffff]/;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const quotedString = /^"(?:[^"\\]|\\.)*"$/;

function unquote(value: string): string {
  return quotedString.test(value) ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value;
}

function percentDecoded(bytes: Buffer): Buffer {
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    const high = bytes[i] === 0x25 ? hexDigit(bytes[i + 1]) : -1;
    const low = high < 0 ? -1 : hexDigit(bytes[i + 2]);
    if (low < 0) {
      bytes[length++] = bytes[i] ?? 0;
    } else {
      bytes[length++] = high * 16 + low;
      i += 2;
    }
  }
  return bytes.subarray(0, length);
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
