const amount = (unit: string): string => `(?:(\\d+(?:\\.\\d+)?)${unit})?`;
const pattern = new RegExp(`^P(?=.)${amount('W')}${amount('D')}(?:T(?=.)${amount('H')}${amount('M')}${amount('S')})?$`);
const unitsMs = [7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1000];

/**
 * Milliseconds of an ISO 8601 duration such as `PT0.2S` or `P1DT12H`; undefined when it is not one. Years and months
 * have no fixed length and are refused.
 */
export function isoDurationMs(text: string): number | undefined {
  const match = pattern.exec(text);
  if (!match) return undefined;
  const parts = match.slice(1);
  if (parts.every((part) => part === undefined)) return undefined;
  return parts.reduce((sum, part, i) => sum + Number(part ?? 0) * (unitsMs[i] ?? 0), 0);
}
