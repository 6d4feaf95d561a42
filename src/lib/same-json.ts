/** Whether two values are the same as JSON: an undefined field is an absent one, and the order of keys is nothing. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) &&
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((item, i) => sameJson(item, b[i] as unknown))
    );
  }
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  // Own fields only: `constructor` and `__proto__` are names like any other.
  const field = (of: Record<string, unknown>, key: string) => (Object.hasOwn(of, key) ? of[key] : undefined);
  for (const key in left) if (!sameJson(field(left, key), field(right, key))) return false;
  for (const key in right) if (field(right, key) !== undefined && field(left, key) === undefined) return false;
  return true;
}
