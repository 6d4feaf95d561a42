import { isJsonObject, type JsonObject } from '../../../lib/json-object.ts';

/** A copy that shares nothing, without fields that are undefined. */
export function copyJson<T>(value: T): T {
  if (Array.isArray(value)) return value.map((item) => copyJson(item)) as T;
  if (!isJsonObject(value)) return value;
  const copy: JsonObject = {};
  for (const key of Object.keys(value)) {
    const field = value[key];
    if (field !== undefined) setField(copy, key, copyJson(field));
  }
  return copy as T;
}

/** Deeper nesting than this is an attack on the stack, not an object of the API: what walks an object recurses. */
export const depthMax = 500;

/** About how long the JSON of a value is, and how deep it nests. Looks no further than one of the limits. */
export function measureJson(value: unknown, bytesMax = Number.POSITIVE_INFINITY): { bytes: number; depth: number } {
  const open: { value: unknown; depth: number }[] = [{ value, depth: 0 }];
  let bytes = 0;
  let deepest = 0;
  for (let next = open.pop(); next; next = open.pop()) {
    const { value: at, depth } = next;
    if (typeof at === 'string') bytes += at.length + 2;
    else if (typeof at !== 'object' || at === null) bytes += 4;
    else {
      bytes += 2;
      deepest = Math.max(deepest, depth + 1);
      for (const key of Object.keys(at)) {
        bytes += Array.isArray(at) ? 1 : key.length + 4;
        open.push({ value: (at as JsonObject)[key], depth: depth + 1 });
      }
    }
    if (bytes > bytesMax || deepest > depthMax) break;
  }
  return { bytes, depth: deepest };
}

/** Sets an own field, also when it is called `__proto__`, which an assignment would take for the prototype. */
export function setField(target: JsonObject, key: string, value: unknown): void {
  if (key === '__proto__') {
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    target[key] = value;
  }
}

/** An own field of an object; undefined for what is inherited. */
export function field(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** The path of a field within `path`: `spec.replicas`. */
export const childPath = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);
