/** What the cells of several tables have in common. */
import type { PodTemplateSpec } from '../../../api/core/pod-spec.ts';
import type { LabelSelector } from '../../../api/meta.ts';
import { selectorText } from '../../../api/selector.ts';
import type { Cells } from '../http/table/column.ts';

export const list = (parts: readonly string[]): string | undefined =>
  parts.length === 0 ? undefined : parts.join(',');

/** The first three, and how many more there are. */
export function some(parts: readonly string[]): string | undefined {
  return list(parts.length > 3 ? [`${parts.slice(0, 3).join(',')} + ${parts.length - 3} more...`] : parts);
}

export const selectorOf = (selector: LabelSelector | undefined) => selectorText(selector ?? {}) || undefined;

interface Workload {
  spec: { template: PodTemplateSpec; selector: LabelSelector };
}

/** What is wide of all that make pods from a template. */
export const workloadCells: Cells<Workload> = {
  '+Containers': ({ spec }) => list((spec.template.spec.containers ?? []).map((c) => c.name)),
  '+Images': ({ spec }) => list((spec.template.spec.containers ?? []).map((c) => c.image ?? '')),
  '+Selector': ({ spec }) => selectorOf(spec.selector),
};
