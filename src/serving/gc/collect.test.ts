import assert from 'node:assert/strict';
import { test } from 'node:test';
import { timestamp } from '../../api/meta.ts';
import type { Configuration } from '../../api/serving/configuration.ts';
import type { Revision } from '../../api/serving/revision.ts';
import { parseGcConfig } from '../config/gc.ts';
import { collect } from './collect.ts';

const nowMs = Date.UTC(2026, 0, 10);
const hourMs = 3_600_000;
const configuration: Configuration = {
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Configuration',
  metadata: { name: 'web' },
  spec: { template: { spec: { containers: [] } } },
  status: { latestReadyRevisionName: 'ready', latestCreatedRevisionName: 'created' },
};

function revision(
  name: string,
  ageHours: number,
  state = 'reserve',
  annotations: Record<string, string> = {},
): Revision {
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Revision',
    metadata: {
      name,
      creationTimestamp: timestamp(nowMs - ageHours * hourMs),
      labels: { 'serving.knative.dev/routingState': state },
      annotations,
    },
    spec: { containers: [] },
  };
}

const names = (revisions: Revision[], data: Record<string, string>) =>
  collect(configuration, revisions, parseGcConfig(data), nowMs).stale.map(({ metadata }) => metadata.name);

test('a revision with no traffic is collected after 48 h', () => {
  const data = { 'min-non-active-revisions': '0' };
  assert.deepEqual(names([revision('a', 47), revision('b', 48)], data), ['b']);
  const { againAfterMs } = collect(configuration, [revision('a', 47)], parseGcConfig(data), nowMs);
  assert.equal(againAfterMs, hourMs);
});

test('one that was in use a short while ago is kept', () => {
  const lately = { 'serving.knative.dev/routingStateModified': timestamp(nowMs - 14 * hourMs) };
  assert.deepEqual(names([revision('a', 100, 'reserve', lately)], { 'min-non-active-revisions': '0' }), []);
});

test('what is used is never collected', () => {
  const used = [
    revision('ready', 1000),
    revision('created', 1000),
    revision('routed', 1000, 'active'),
    revision('kept', 1000, 'reserve', { 'serving.knative.dev/no-gc': 'true' }),
  ];
  assert.deepEqual(names(used, { 'min-non-active-revisions': '0', 'max-non-active-revisions': '0' }), []);
});

test('a minimum is kept however old, and no more than a maximum however young', () => {
  const old = [revision('a', 300), revision('b', 200), revision('c', 100)];
  assert.deepEqual(names(old, { 'min-non-active-revisions': '2' }), ['a']);
  assert.deepEqual(names(old, {}), []);
  const young = [revision('a', 3), revision('b', 2), revision('c', 1)];
  assert.deepEqual(names(young, { 'min-non-active-revisions': '0', 'max-non-active-revisions': '1' }), ['a', 'b']);
});

test('each rule can be disabled, and nonsense is named', () => {
  const one = { 'min-non-active-revisions': '0', 'retain-since-create-time': 'disabled' };
  assert.deepEqual(names([revision('a', 14), revision('b', 15)], one), ['b'], 'the other age alone decides');
  const both = { ...one, 'retain-since-last-active-time': 'disabled' };
  assert.deepEqual(names([revision('a', 10_000)], both), []);
  assert.throws(() => parseGcConfig({ 'retain-since-create-time': 'x' }), /^Error: retain-since-create-time is "x"/);
  assert.throws(() => parseGcConfig({ 'min-non-active-revisions': '-1' }), /min-non-active-revisions is "-1"/);
  assert.throws(() => parseGcConfig({ 'max-non-active-revisions': '1' }), /min-non-active-revisions is 20/);
});
