/** What the parts of a JSON value take in V8's heap, in bytes: rough, and rather too much than too little. */
const scalarBytes = 8;
const stringBytes = 24;
const arrayBytes = 48;
const objectBytes = 56;
const fieldBytes = 32;

/** About how many bytes of memory a JSON value takes. Many small parts weigh far more than their text. */
export function weightOf(value: unknown): number {
  if (typeof value === 'string') return stringBytes + value.length;
  if (typeof value !== 'object' || value === null) return scalarBytes;
  if (Array.isArray(value)) {
    let weight = arrayBytes;
    for (const item of value) weight += scalarBytes + weightOf(item);
    return weight;
  }
  let weight = objectBytes;
  for (const key in value) weight += fieldBytes + key.length + weightOf((value as Record<string, unknown>)[key]);
  return weight;
}
