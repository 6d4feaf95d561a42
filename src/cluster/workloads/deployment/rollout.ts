import { type DeploymentSpec, scaledValue } from '../../../api/apps/deployment.ts';

/** What the planner needs to know of a ReplicaSet. */
export interface Generation {
  name: string;
  /** What its spec asks for. */
  replicas: number;
  available: number;
}

/** The replicas that each ReplicaSet should have now; those not named stay as they are. */
export type Plan = { name: string; replicas: number }[];

export interface Limits {
  /** How many pods there may be at most, all generations together. */
  totalMax: number;
  /** How many of them must be available. */
  availableMin: number;
}

/**
 * The limits of a rolling update. Surge rounds up, unavailable rounds down, and both may not be nothing.
 * Example: 4 replicas, maxSurge 25 %, maxUnavailable 25 % give at most 5 pods, of which 3 are available.
 */
export function limitsOf(spec: DeploymentSpec): Limits {
  const replicas = spec.replicas ?? 1;
  if (spec.strategy?.type === 'Recreate') return { totalMax: replicas, availableMin: 0 };
  const { maxSurge = '25%', maxUnavailable = '25%' } = spec.strategy?.rollingUpdate ?? {};
  const surge = scaledValue(maxSurge, replicas, Math.ceil) ?? 0;
  const unavailable = Math.min(replicas, scaledValue(maxUnavailable, replicas, Math.floor) ?? 0);
  const isStuck = surge === 0 && unavailable === 0;
  return { totalMax: replicas + surge, availableMin: replicas - (isStuck ? Math.min(1, replicas) : unavailable) };
}

/**
 * One step of a rolling update: grow the current generation as far as the surge allows, then shrink the older ones
 * (oldest first, their unavailable pods before all) as far as enough pods stay available.
 */
export function planRollingUpdate(
  replicas: number,
  limits: Limits,
  current: Generation,
  older: readonly Generation[],
): Plan {
  const plan: Plan = [];
  let currentReplicas = current.replicas;
  const olderTotal = sum(older, (g) => g.replicas);
  if (currentReplicas > replicas) currentReplicas = replicas;
  else {
    const room = limits.totalMax - olderTotal - currentReplicas;
    currentReplicas += Math.max(0, Math.min(room, replicas - currentReplicas));
  }
  if (currentReplicas !== current.replicas) plan.push({ name: current.name, replicas: currentReplicas });
  if (olderTotal > 0) plan.push(...planShrink(limits, { ...current, replicas: currentReplicas }, older));
  return plan;
}

function planShrink(limits: Limits, current: Generation, older: readonly Generation[]): Plan {
  const total = current.replicas + sum(older, (g) => g.replicas);
  const currentUnavailable = Math.max(0, current.replicas - current.available);
  let budget = total - limits.availableMin - currentUnavailable;
  if (budget <= 0) return [];
  const left = new Map(older.map((g) => [g.name, g.replicas]));
  for (const generation of older) {
    const broken = Math.min(budget, Math.max(0, generation.replicas - generation.available));
    left.set(generation.name, generation.replicas - broken);
    budget -= broken;
  }
  let spare = Math.min(budget, current.available + sum(older, (g) => g.available) - limits.availableMin);
  for (const generation of older) {
    const replicas = left.get(generation.name) ?? 0;
    const removed = Math.min(replicas, Math.max(0, spare));
    left.set(generation.name, replicas - removed);
    spare -= removed;
  }
  return older.flatMap(({ name, replicas }) => {
    const next = left.get(name) ?? replicas;
    return next === replicas ? [] : [{ name, replicas: next }];
  });
}

/**
 * A paused rollout follows a changed number of replicas without moving the balance between generations: what is to be
 * added or removed is shared in proportion to what each has; the largest takes the rest.
 */
export function planProportional(target: number, generations: readonly Generation[]): Plan {
  const active = generations.filter((g) => g.replicas > 0).sort((a, b) => b.replicas - a.replicas);
  const total = sum(active, (g) => g.replicas);
  const [largest] = active;
  if (!largest || total === target) return [];
  const next = active.map((g) => ({ name: g.name, replicas: Math.floor((g.replicas * target) / total) }));
  const rest = target - sum(next, (g) => g.replicas);
  return next.map((g) => (g.name === largest.name ? { ...g, replicas: g.replicas + rest } : g));
}

function sum<T>(list: readonly T[], value: (item: T) => number): number {
  return list.reduce((total, item) => total + value(item), 0);
}
