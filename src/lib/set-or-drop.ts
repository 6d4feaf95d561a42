/** An optional field that has no value is not there, rather than undefined: so it is in JSON. */
export function setOrDrop<T extends object, K extends keyof T>(target: T, field: K, value: T[K] | undefined): void {
  if (value === undefined) delete target[field];
  else target[field] = value;
}
