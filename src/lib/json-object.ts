export type JsonObject = Record<string, unknown>;

/** Whether the value is a map, rather than a list, a text, a number, a boolean or null. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
