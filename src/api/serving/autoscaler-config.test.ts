import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Configuration } from '../kind.ts';
import { ConfigurationKind } from './configuration.ts';
import { type Revision, RevisionKind } from './revision.ts';
import { ServiceKind } from './service.ts';

const scaled = (scale: Record<string, string>) =>
  Object.fromEntries(Object.entries(scale).map(([key, value]) => [`autoscaling.knative.dev/${key}`, value]));
const containers = [{ name: 'user-container', image: 'example.com/web' }];
const configured = (data: Record<string, string>): Configuration => ({ 'knative-serving/config-autoscaler': data });
const apiVersion = 'serving.knative.dev/v1';

function revision(scale: Record<string, string>, labels: Record<string, string> = {}): Revision {
  const metadata = { name: 'web-00001', namespace: 'default', annotations: scaled(scale), labels };
  return { apiVersion, kind: 'Revision', metadata, spec: { containers } };
}

function errorsOfRevision(object: Revision, config: Configuration, old?: Revision): string[] {
  return (RevisionKind.validate?.(object, { old, config }) ?? []).map(({ message }) => message);
}

/** What each of the three kinds that say how a revision scales is told. */
function errorsOf(scale: Record<string, string>, config: Configuration): string[][] {
  const metadata = { name: 'web', namespace: 'default' };
  const spec = { template: { metadata: { annotations: scaled(scale) }, spec: { containers } } };
  const traffic = [{ latestRevision: true, percent: 100 }];
  const service = ServiceKind.validate?.(
    { apiVersion, kind: 'Service', metadata, spec: { ...spec, traffic } },
    { config },
  );
  const configuration = ConfigurationKind.validate?.({ apiVersion, kind: 'Configuration', metadata, spec }, { config });
  const told = [service, configuration].map((errors) => (errors ?? []).map(({ message }) => message));
  return [...told, errorsOfRevision(revision(scale), config)];
}

test('config-autoscaler says how far a revision may scale', () => {
  const limited = configured({ 'max-scale': '5', 'max-scale-limit': '5' });
  for (const errors of errorsOf({ 'max-scale': '6' }, limited)) assert.match(errors.join(), /expected 1 <= 6 <= 5/);
  for (const errors of errorsOf({ 'max-scale': '0' }, limited))
    assert.match(errors.join(), /max-scale=0 \(unlimited\)/);
  assert.deepEqual(errorsOf({ 'max-scale': '5' }, limited), [[], [], []]);
  assert.deepEqual(errorsOf({ 'max-scale': '6' }, {}), [[], [], []]);
});

test('config-autoscaler says whether a revision may begin with no pod', () => {
  for (const errors of errorsOf({ 'initial-scale': '0' }, {})) assert.match(errors.join(), /not allowed by cluster/);
  assert.deepEqual(errorsOf({ 'initial-scale': '0' }, configured({ 'allow-zero-initial-scale': 'true' })), [
    [],
    [],
    [],
  ]);
});

test('while config-autoscaler is wrong, Knative’s own limits are in force', () => {
  const wrong = configured({ 'max-scale-limit': 'five', 'allow-zero-initial-scale': 'true' });
  for (const errors of errorsOf({ 'initial-scale': '0' }, wrong)) assert.match(errors.join(), /not allowed by cluster/);
  assert.deepEqual(errorsOf({ 'max-scale': '6' }, wrong), [[], [], []]);
});

test('a limit that came after a revision lets its labels be written, but its scale only within the limit', () => {
  const limited = configured({ 'max-scale': '5', 'max-scale-limit': '5' });
  const old = revision({ 'max-scale': '6' });
  const routed = revision({ 'max-scale': '6' }, { 'serving.knative.dev/routingState': 'active' });
  assert.deepEqual(errorsOfRevision(routed, limited, old), []);
  assert.match(errorsOfRevision(revision({ 'max-scale': '7' }), limited, old).join(), /expected 1 <= 7 <= 5/);
});
