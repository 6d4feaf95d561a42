import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Deployment } from '../../api/apps/deployment.ts';
import { type Condition, timestamp } from '../../api/meta.ts';
import type { Revision } from '../../api/serving/revision.ts';
import { isHopeless, lastChanceMs } from './hopeless.ts';

const failedAtMs = Date.UTC(2026, 0, 1);

interface Case {
  routing?: 'active' | 'pending' | 'reserve';
  healthy?: Partial<Condition>;
  available?: Partial<Condition>;
  ready?: number;
  isInitialized?: boolean;
  annotations?: Record<string, string>;
  startupProbe?: object;
  afterMs?: number;
}

function judge(given: Case): boolean {
  const condition = (type: string, of: Partial<Condition> = {}): Condition => ({
    type,
    status: 'True',
    lastTransitionTime: timestamp(failedAtMs),
    ...of,
  });
  const revision: Revision = {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Revision',
    metadata: {
      name: 'r',
      labels: { 'serving.knative.dev/routingState': given.routing ?? 'pending' },
      annotations: given.annotations ?? {},
    },
    spec: { containers: [{ name: 'c', ...(given.startupProbe ? { startupProbe: given.startupProbe } : {}) }] },
    status: {
      conditions: [condition('ContainerHealthy', given.healthy), condition('ResourcesAvailable', given.available)],
    },
  };
  const deployment = { status: { readyReplicas: given.ready ?? 0 } } as Deployment;
  return isHopeless(revision, deployment, given.isInitialized ?? false, failedAtMs + (given.afterMs ?? 0));
}

const crashed: Partial<Condition> = { status: 'False', reason: 'ExitCode1' };
const deaf: Partial<Condition> = { status: 'False', reason: 'NotListening' };
const hourMs = 3_600_000;

for (const [what, given, expected] of [
  ['crashed and was replaced', { routing: 'reserve', healthy: crashed }, true],
  ['came up once, crashed and was replaced', { routing: 'reserve', healthy: crashed, isInitialized: true }, true],
  ['has no image and was replaced', { routing: 'reserve', available: { status: 'False' } }, true],
  [
    'was replaced while it still starts',
    { routing: 'reserve', healthy: { status: 'Unknown' }, afterMs: hourMs },
    false,
  ],
  [
    'was replaced and has a ready pod beside the crashed one',
    { routing: 'reserve', healthy: crashed, ready: 1 },
    false,
  ],
  ['crashes and is the newest', { healthy: crashed, afterMs: hourMs }, false],
  ['crashes and has traffic', { routing: 'active', healthy: crashed, afterMs: hourMs }, false],
  ['just turned out not to listen', { healthy: deaf, afterMs: lastChanceMs - 1 }, false],
  ['does not listen', { healthy: deaf, afterMs: lastChanceMs }, true],
  ['came up once, and does not listen now', { healthy: deaf, isInitialized: true, afterMs: hourMs }, false],
  [
    'does not listen yet, and has a deadline of its own',
    { healthy: deaf, annotations: { 'serving.knative.dev/progress-deadline': '20m' }, afterMs: hourMs },
    false,
  ],
  ['does not listen yet, and has a startup probe', { healthy: deaf, startupProbe: {}, afterMs: hourMs }, false],
] as [string, Case, boolean][]) {
  test(`a revision that ${what} is ${expected ? '' : 'not '}hopeless`, () => assert.equal(judge(given), expected));
}
