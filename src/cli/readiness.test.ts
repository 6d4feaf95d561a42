import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Condition } from '../api/meta.ts';
import type { Configuration } from '../api/serving/configuration.ts';
import type { Service } from '../api/serving/service.ts';
import { judge, type Observation, settleMs, type Verdict } from './readiness.ts';

type Ready = [Condition['status'], string?];

interface Moment {
  atMs?: number;
  /** What the Service asks for is named by its image. */
  service: { image: string; generation: number; observed?: number; ready?: Ready; traffic?: string };
  configuration?: { image: string; generation: number; observed?: number; ready?: Ready; revision?: string };
}

const specOf = (image: string) => ({ template: { spec: { containers: [{ name: 'c', image }] } } });
const conditionsOf = (ready: Ready | undefined): Condition[] =>
  ready ? [{ type: 'Ready', status: ready[0], ...(ready[1] ? { reason: ready[1] } : {}) }] : [];

function observationOf({ atMs = 0, service, configuration }: Moment): Observation {
  const metadata = (generation: number) => ({ name: 'app', namespace: 'default', generation });
  return {
    atMs,
    service: {
      metadata: metadata(service.generation),
      spec: specOf(service.image),
      status: {
        observedGeneration: service.observed ?? service.generation,
        conditions: conditionsOf(service.ready),
        url: 'http://app',
      },
    } as unknown as Service,
    configuration:
      configuration &&
      ({
        metadata: metadata(configuration.generation),
        spec: { build: null, ...specOf(configuration.image) },
        status: {
          observedGeneration: configuration.observed ?? configuration.generation,
          conditions: conditionsOf(configuration.ready),
          ...(configuration.revision ? { latestCreatedRevisionName: configuration.revision } : {}),
        },
      } as unknown as Configuration),
  };
}

/** What each moment is judged to be, one after the other. */
function verdictsOf(moments: Moment[]): string[] {
  let verdict: Verdict | undefined;
  return moments.map((moment) => {
    verdict = judge(observationOf(moment), verdict);
    return verdict.type === 'failed' ? `failed: ${verdict.why}` : verdict.type;
  });
}

const old: Ready = ['False', 'RevisionMissing'];
const badMade = { image: 'bad', generation: 1, ready: ['False', 'RevisionFailed'] as Ready, revision: 'app-00001' };
const goodNew = { image: 'good', generation: 2, revision: 'app-00001' };
const goodMade = { ...goodNew, revision: 'app-00002' };

const sequences: Record<string, [Moment, string][]> = {
  'a first deploy': [
    [{ service: { image: 'good', generation: 1, observed: 0 } }, 'under-way'],
    [{ service: { image: 'good', generation: 1, ready: ['Unknown', 'OutOfDate'] } }, 'under-way'],
    [
      {
        service: { image: 'good', generation: 1, ready: ['Unknown'] },
        configuration: { image: 'good', generation: 1, ready: ['Unknown'], revision: 'app-00001' },
      },
      'under-way',
    ],
    [
      {
        service: { image: 'good', generation: 1, ready: ['True'] },
        configuration: { image: 'good', generation: 1, ready: ['True'], revision: 'app-00001' },
      },
      'ready',
    ],
  ],
  'a mended app: the failure of the revision before stands in each status in turn': [
    [{ service: { image: 'good', generation: 2, observed: 1, ready: old }, configuration: badMade }, 'under-way'],
    // The reconcile that saw generation 2 could not write the Configuration: its next try will.
    [{ service: { image: 'good', generation: 2, ready: old }, configuration: badMade }, 'doubtful'],
    [
      { service: { image: 'good', generation: 2, ready: old }, configuration: { ...badMade, ...goodNew, observed: 1 } },
      'doubtful',
    ],
    // The Route still says that no revision is ready, while the new one starts, and just after it has.
    [
      { service: { image: 'good', generation: 2, ready: old }, configuration: { ...goodNew, ready: ['Unknown'] } },
      'under-way',
    ],
    [
      {
        atMs: 90_000,
        service: { image: 'good', generation: 2, ready: old },
        configuration: { ...goodMade, ready: ['Unknown'] },
      },
      'under-way',
    ],
    [
      {
        atMs: 91_000,
        service: { image: 'good', generation: 2, ready: old },
        configuration: { ...goodMade, ready: ['True'] },
      },
      'doubtful',
    ],
    [
      {
        atMs: 91_010,
        service: { image: 'good', generation: 2, ready: ['True'] },
        configuration: { ...goodMade, ready: ['True'] },
      },
      'ready',
    ],
  ],
  'an app that has got worse is not ready because the revision before is': [
    [
      {
        service: { image: 'bad', generation: 2, ready: ['True'] },
        configuration: { image: 'good', generation: 1, ready: ['True'], revision: 'app-00001' },
      },
      'under-way',
    ],
    [
      {
        service: { image: 'bad', generation: 2, ready: ['True'] },
        configuration: { image: 'bad', generation: 2, observed: 1, ready: ['True'], revision: 'app-00001' },
      },
      'under-way',
    ],
    [
      {
        service: { image: 'bad', generation: 2, ready: ['Unknown'] },
        configuration: { image: 'bad', generation: 2, ready: ['False', 'RevisionFailed'], revision: 'app-00002' },
      },
      'failed: RevisionFailed',
    ],
  ],
  'a build that fails is said by the Configuration, before any revision': [
    [
      {
        service: { image: 'good', generation: 2, ready: old },
        configuration: { ...goodNew, ready: ['False', 'BuildFailed'] },
      },
      'failed: BuildFailed',
    ],
  ],
  'an edit of the traffic alone leaves the Configuration at its generation': [
    [
      {
        service: { image: 'good', generation: 7, ready: ['True'] },
        configuration: { ...goodMade, ready: ['True'] },
      },
      'ready',
    ],
  ],
  'traffic to a revision that has failed is a failure once it has lasted, also when it was doubted before': [
    [
      {
        atMs: 10,
        service: { image: 'good', generation: 3, ready: ['False', 'Other'] },
        configuration: { ...goodMade, ready: ['True'] },
      },
      'doubtful',
    ],
    [
      {
        atMs: 20,
        service: { image: 'good', generation: 3, ready: old },
        configuration: { ...goodMade, ready: ['True'] },
      },
      'doubtful',
    ],
    [
      {
        atMs: 19 + settleMs,
        service: { image: 'good', generation: 3, ready: old },
        configuration: { ...goodMade, ready: ['True'] },
      },
      'doubtful',
    ],
    [
      {
        atMs: 20 + settleMs,
        service: { image: 'good', generation: 3, ready: old },
        configuration: { ...goodMade, ready: ['True'] },
      },
      'failed: RevisionMissing',
    ],
  ],
  "a Configuration that is somebody else's never becomes what is asked for": [
    [
      {
        service: { image: 'good', generation: 1, ready: ['False', 'NotOwned'] },
        configuration: { ...badMade, image: 'other' },
      },
      'doubtful',
    ],
    [
      {
        atMs: settleMs,
        service: { image: 'good', generation: 1, ready: ['False', 'NotOwned'] },
        configuration: { ...badMade, image: 'other' },
      },
      'failed: NotOwned',
    ],
  ],
};

for (const [name, steps] of Object.entries(sequences)) {
  test(`readiness: ${name}`, () => {
    assert.deepEqual(
      verdictsOf(steps.map(([moment]) => moment)),
      steps.map(([, verdict]) => verdict),
    );
  });
}
