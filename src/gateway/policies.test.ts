import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { policies, policyFor } from './policies.ts';

const loads = (...inFlight: number[]) => inFlight.map((count, at) => ({ at, inFlight: count }));

describe('a balancing policy', () => {
  const cases: [containerConcurrency: number, policy: keyof typeof policies][] = [
    [0, 'randomOfTwo'],
    [1, 'firstAvailable'],
    [3, 'firstAvailable'],
    [4, 'roundRobin'],
    [100, 'roundRobin'],
  ];
  for (const [containerConcurrency, policy] of cases) {
    it(`is ${policy} for containerConcurrency ${containerConcurrency}`, () => {
      assert.equal(policyFor(containerConcurrency), policies[policy]);
    });
  }

  it('finds a free slot exactly when there is one, and never exceeds the capacity', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(policies.firstAvailable, policies.roundRobin),
        fc.array(fc.nat(3), { maxLength: 8 }),
        fc.integer({ min: 1, max: 3 }),
        fc.nat(100),
        (policy, inFlight, capacity, turn) => {
          const chosen = policy(loads(...inFlight), capacity, turn, Math.random);
          assert.equal(
            chosen !== undefined,
            inFlight.some((count) => count < capacity),
          );
          if (chosen !== undefined) assert.ok(chosen.inFlight < capacity);
        },
      ),
    );
  });

  it('takes the less loaded of two different ones at random', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(9), { minLength: 2, maxLength: 8 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (inFlight, one, two) => {
          const draws = [one, two];
          const candidates = loads(...inFlight);
          const chosen = policies.randomOfTwo(candidates, Number.POSITIVE_INFINITY, 0, () => draws.shift() ?? 0);
          assert.ok(chosen !== undefined);
          const first = candidates[Math.floor(one * inFlight.length)];
          assert.ok(chosen.inFlight <= (first?.inFlight ?? 0));
          if (inFlight.length === 2) assert.equal(chosen.inFlight, Math.min(...inFlight));
        },
      ),
    );
  });

  const draws: [count: number, one: number, two: number, first: number, other: number][] = [
    [1, 0.9, 0.9, 0, 0],
    [2, 0, 0, 0, 1],
    [2, 0.5, 0.9, 1, 0],
    [3, 0, 0, 0, 2],
    [3, 0, 0.5, 0, 1],
    [3, 0.4, 0, 1, 0],
    [3, 0.4, 0.5, 1, 2],
    [3, 0.9, 0.4, 2, 0],
    [3, 0.9, 0.5, 2, 1],
  ];
  for (const [count, one, two, first, other] of draws) {
    it(`draws ${first} and ${other} of ${count} for ${one} and ${two}, and prefers the first of equals`, () => {
      const choose = (loadOf: (at: number) => number) => {
        const numbers = [one, two];
        const candidates = loads(...Array.from({ length: count }, (_, at) => loadOf(at)));
        return policies.randomOfTwo(candidates, Number.POSITIVE_INFINITY, 0, () => numbers.shift() ?? 0)?.at;
      };
      assert.equal(
        choose((at) => (at === first ? 2 : 1)),
        other,
      );
      assert.equal(
        choose((at) => (at === other ? 2 : 1)),
        first,
      );
      assert.equal(
        choose(() => 1),
        first,
      );
    });
  }

  it('chooses none where there is none', () => {
    for (const policy of Object.values(policies)) assert.equal(policy([], 1, 0, Math.random), undefined);
  });

  it('in turn gives each endpoint the same share', () => {
    const candidates = loads(0, 0, 0);
    const turns = [0, 1, 2, 3, 4, 5].map((turn) => policies.roundRobin(candidates, 4, turn, Math.random)?.at);
    assert.deepEqual(turns, [0, 1, 2, 0, 1, 2]);
  });
});
