/** The number with its suffix, as in Kubernetes' resource.Quantity: `100m`, `1.5`, `512Mi`, `1e3`. */
const quantityPattern = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i))?$/;

const suffixes: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The value of a quantity: CPUs for cpu, bytes for memory; undefined when it is not one. `512Mi` is 536870912. */
export function parseQuantity(text: string | number): number | undefined {
  const match = quantityPattern.exec(String(text));
  if (!match?.[1]) return undefined;
  const [, digits, exponent, suffix] = match;
  if (exponent) return Number(digits + exponent);
  return Number(digits) * (suffix ? (suffixes[suffix] ?? Number.NaN) : 1);
}

export const quantityRule =
  "quantities must match '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$', for example 500m or 1Gi";
