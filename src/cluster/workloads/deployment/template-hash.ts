import { createHash } from 'node:crypto';
import type { PodTemplateSpec } from '../../../api/core/pod-spec.ts';
import { generatedAlphabet } from '../../../api/names.ts';

/** The label that tells the pods of a Deployment's ReplicaSets apart. */
export const templateHashLabel = 'pod-template-hash';

/** Ten characters that depend on the template alone, whatever the order of its fields. */
export function templateHash(template: PodTemplateSpec): string {
  const digest = createHash('sha256')
    .update(JSON.stringify(sorted(template)))
    .digest();
  return Array.from(digest.subarray(0, 10), (byte) => generatedAlphabet[byte % generatedAlphabet.length]).join('');
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}
