import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Container } from '../../../../../api/core/pod-spec.ts';
import { specInput } from '../testing/spec-input.ts';
import { containerResources, oomScoreAdjOf, podResources, weightOf } from './resources.ts';

const v1 = { cgroupVersion: 1, hasSwapLimit: true } as const;
const v2 = { cgroupVersion: 2, hasSwapLimit: false } as const;
type Amounts = Record<string, string | number>;
const asking = (requests: Amounts, limits: Amounts = {}, more: Partial<Container> = {}): Container => ({
  name: 'main',
  resources: { requests, limits },
  ...more,
});

describe('containerResources', () => {
  for (const [what, requests, limits, cpu] of [
    ['nothing asked', {}, {}, { shares: 2 }],
    ['a quarter of a processor asked', { cpu: '250m' }, {}, { shares: 256 }],
    ['a limit alone is a request, too', {}, { cpu: '500m' }, { shares: 512, quota: 50_000, period: 100_000 }],
    ['two processors as a number', { cpu: 1 }, { cpu: 2 }, { shares: 1024, quota: 200_000, period: 100_000 }],
    ['next to nothing', { cpu: '1m' }, { cpu: '1m' }, { shares: 2, quota: 1_000, period: 100_000 }],
    [
      'a thousandth and a bit is rounded up',
      { cpu: '0.0011' },
      { cpu: '0.0199' },
      { shares: 2, quota: 2_000, period: 100_000 },
    ],
    ['more than any machine has', { cpu: '1000000' }, {}, { shares: 262_144 }],
    ['what is no number', { cpu: 'lots' }, { cpu: '-1' }, { shares: 2 }],
  ] as const) {
    test(`cpu: ${what}`, () => assert.deepEqual(containerResources({ requests, limits }, v1).cpu, cpu));
  }

  test('memory is limited with swap, and its end is that of all processes, where the kernel can', () => {
    const limits = { memory: '64Mi' };
    const limit = 64 * 2 ** 20;
    assert.deepEqual(containerResources({ limits }, v1), { cpu: { shares: 2 }, memory: { limit, swap: limit } });
    const unified = { 'memory.oom.group': '1' };
    assert.deepEqual(containerResources({ limits }, v2), { cpu: { shares: 2 }, memory: { limit }, unified });
    assert.equal(containerResources({ limits: { memory: '1.5' } }, v2).memory?.limit, 2);
    assert.equal(containerResources({ limits: { memory: '9E' } }, v2).memory?.limit, Number.MAX_SAFE_INTEGER);
    assert.equal(containerResources({ limits: { memory: '0' } }, v2).memory, undefined);
  });
});

describe('podResources', () => {
  const of = (containers: Container[], more = {}) => podResources(specInput({ pod: { containers, ...more } }).pod);

  test('a pod may have what its containers may together', () => {
    const both = asking({ cpu: '100m', memory: '10Mi' }, { cpu: '200m', memory: '20Mi' });
    assert.deepEqual(of([both, both]), {
      cpu: { shares: 204, quota: 40_000, period: 100_000 },
      memory: { limit: 40 * 2 ** 20 },
    });
  });

  test('a container without a limit leaves its pod without', () => {
    assert.deepEqual(of([asking({ cpu: '1' }, { memory: '1Gi' }), asking({ cpu: '1' }, {})]), {
      cpu: { shares: 2048 },
    });
  });

  test('a pod that asks for nothing gets what is left', () => {
    assert.deepEqual(of([{ name: 'main' }]), { cpu: { shares: 2 } });
  });

  test('an init container may have more than the others together, and has the sidecars before it beside it', () => {
    const big = asking({ cpu: '2' }, { cpu: '2', memory: '2Gi' });
    const small = asking({ cpu: '500m' }, { cpu: '500m', memory: '512Mi' });
    const initContainers = [{ ...small, restartPolicy: 'Always' }, big];
    const resources = of([small], { initContainers, overhead: { cpu: '100m', memory: '1Mi' } });
    assert.deepEqual(resources.cpu, { shares: 2662, quota: 260_000, period: 100_000 });
    assert.equal(resources.memory?.limit, (2048 + 512 + 1) * 2 ** 20);
  });
});

test('who is killed first when the machine has no memory left', () => {
  const machine = {
    memoryBytes: 1000 * 2 ** 20,
    oomScoreAdj: -50,
    capabilities: ['CAP_SYS_RESOURCE'],
    isRootless: false,
  };
  const score = (container: Container, on = machine) =>
    oomScoreAdjOf(specInput({ pod: { containers: [container] } }).pod, container, on);
  const guaranteed = asking({ cpu: '1', memory: '1Gi' }, { cpu: '1', memory: '1Gi' });
  assert.equal(score({ name: 'main' }), 1000);
  assert.equal(score(asking({ cpu: '1' })), 999);
  assert.equal(score(asking({ memory: '400Mi' })), 600);
  assert.equal(score(asking({ memory: '5Gi' })), 3);
  assert.equal(score(guaranteed), -997);
  assert.equal(score(guaranteed, { ...machine, capabilities: [] }), -50, 'no less than ours, without the privilege');
  assert.equal(score(guaranteed, { ...machine, isRootless: true }), -50);
});

test('shares become weights as the OCI runtimes convert them', () => {
  assert.deepEqual([2, 1024, 262_144].map(weightOf), [1, 39, 10_000]);
});
