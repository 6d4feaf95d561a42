/** What a policy looks at: an endpoint and how many requests it has. */
export interface Candidate {
  readonly inFlight: number;
}

/**
 * Chooses one of `candidates` whose `inFlight` is below `capacity`; undefined when there is none. `turn` grows by one
 * with each call; `random` is in [0, 1).
 */
export type Policy = <C extends Candidate>(
  candidates: readonly C[],
  capacity: number,
  turn: number,
  random: () => number,
) => C | undefined;

/**
 * Two at random, the one with fewer requests: near the best balance without looking at all (Mitzenmacher 2001). Only
 * for endpoints without a limit: each has a free slot.
 */
const randomOfTwo: Policy = (candidates, _capacity, _turn, random) => {
  const count = candidates.length;
  const first = candidates[Math.floor(random() * count)];
  const at = Math.floor(random() * (count - 1));
  const other = candidates[at] === first ? candidates[count - 1] : candidates[at];
  return other !== undefined && first !== undefined && other.inFlight < first.inFlight ? other : first;
};

/** The first with a free slot: fills pods in order, so that the last ones fall idle. */
const firstAvailable: Policy = (candidates, capacity) => candidates.find((one) => one.inFlight < capacity);

/** Each in turn, skipping full ones. */
const roundRobin: Policy = (candidates, capacity, turn) => {
  for (let step = 0; step < candidates.length; step++) {
    const one = candidates[(turn + step) % candidates.length];
    if (one !== undefined && one.inFlight < capacity) return one;
  }
  return undefined;
};

export const policies = { randomOfTwo, firstAvailable, roundRobin };

/** Knative's choice by containerConcurrency (pkg/activator/net/lb_policy.go, pkg/activator/net/throttler.go). */
export function policyFor(containerConcurrency: number): Policy {
  if (containerConcurrency === 0) return policies.randomOfTwo;
  return containerConcurrency < 4 ? policies.firstAvailable : policies.roundRobin;
}
