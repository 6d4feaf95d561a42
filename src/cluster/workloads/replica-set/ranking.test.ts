import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../../../api/core/pod.ts';
import { podsToDelete } from './ranking.ts';

interface Traits {
  node?: string;
  phase?: 'Pending' | 'Running';
  ready?: string | false;
  cost?: number;
  restarts?: number;
  created?: string;
}

function pod(
  name: string,
  { node = 'n', phase = 'Running', ready = false, cost, restarts = 0, created = '2026-01-01T00:00:00Z' }: Traits,
): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      creationTimestamp: created,
      ...(cost === undefined ? {} : { annotations: { 'controller.kubernetes.io/pod-deletion-cost': String(cost) } }),
    },
    spec: { containers: [], ...(node === '' ? {} : { nodeName: node }) },
    status: {
      phase,
      conditions: ready === false ? [] : [{ type: 'Ready', status: 'True', lastTransitionTime: ready }],
      containerStatuses: [{ name: 'c', image: '', imageID: '', ready: ready !== false, restartCount: restarts }],
    },
  };
}

const early = '2026-01-01T00:00:00Z';
const late = '2026-01-01T01:00:00Z';

test('the pod whose end costs least goes first', () => {
  const table: [string, Traits, Traits][] = [
    ['not on a node before on one', { node: '' }, {}],
    ['pending before running', { phase: 'Pending' }, {}],
    ['not ready before ready', {}, { ready: early }],
    ['cheaper before dearer', { ready: early, cost: -1 }, { ready: early }],
    ['ready for a shorter time before longer', { ready: late }, { ready: early }],
    ['restarted more before less', { ready: early, restarts: 2 }, { ready: early }],
    ['younger before older', { ready: early, created: late }, { ready: early }],
  ];
  for (const [why, first, second] of table) {
    const pods = [pod('second', second), pod('first', first)];
    assert.deepEqual(
      podsToDelete(pods, 1).map((p) => p.metadata.name),
      ['first'],
      why,
    );
  }
});

test('no more pods than asked for', () => {
  assert.equal(podsToDelete([pod('a', {}), pod('b', {})], 5).length, 2);
  assert.equal(podsToDelete([pod('a', {})], -1).length, 0);
});
