import type { Container, PodSpec } from '../../../api/core/pod-spec.ts';
import { parseQuantity } from '../../../api/core/quantity.ts';

/** By resource: CPUs of cpu, bytes of memory, numbers of others. */
export type Amounts = Readonly<Record<string, number>>;

/**
 * What a pod asks a node for: its containers and sidecars together, or, if that is more, an init container with the
 * sidecars that run beside it (Kubernetes' resource helpers).
 */
export function podRequests(spec: Pick<PodSpec, 'containers' | 'initContainers' | 'overhead'>): Amounts {
  let sidecars: Amounts = {};
  let most: Amounts = {};
  for (const container of spec.initContainers ?? []) {
    if (container.restartPolicy === 'Always') sidecars = sum(sidecars, requestsOf(container));
    else most = larger(most, sum(sidecars, requestsOf(container)));
  }
  const running = (spec.containers ?? []).map(requestsOf).reduce(sum, sidecars);
  return sum(larger(most, running), amounts(spec.overhead));
}

const requestsOf = ({ resources }: Container) => amounts({ ...resources?.limits, ...resources?.requests });

const amounts = (quantities: Record<string, string | number> = {}): Amounts =>
  Object.fromEntries(Object.entries(quantities).map(([name, quantity]) => [name, parseQuantity(quantity) ?? 0]));

export const sum = (a: Amounts, b: Amounts): Amounts => merged(a, b, (x, y) => x + y);
const larger = (a: Amounts, b: Amounts): Amounts => merged(a, b, Math.max);

function merged(a: Amounts, b: Amounts, how: (x: number, y: number) => number): Amounts {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries([...names].map((name) => [name, how(a[name] ?? 0, b[name] ?? 0)]));
}
