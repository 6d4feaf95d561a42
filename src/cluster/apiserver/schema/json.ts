export type JsonObject = Record<string, unknown>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

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

/** The path of a field within `path`: `spec.replicas`; keys that would mislead are put in brackets. */
export function childPath(path: string, key: string): string {
  if (path === '') return key;
  return `${path}.${key}`;
}
