import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KindContext } from '../kind.ts';
import { RevisionKind } from './revision.ts';
import { parseRevisionDefaults } from './revision-defaults.ts';
import { type Service, ServiceKind } from './service.ts';

const context = (data: Record<string, string>): KindContext<never> => ({
  config: { 'knative-serving/config-defaults': data },
});

function service(spec: object = {}): Service {
  const template = { spec: { ...spec, containers: [{ name: '', image: 'example.com/web' }] } };
  const metadata = { name: 'web', namespace: 'default' };
  return { apiVersion: 'serving.knative.dev/v1', kind: 'Service', metadata, spec: { template } };
}

function errorsOf(spec: object, data: Record<string, string>): string[] {
  const object = service(spec);
  ServiceKind.setDefaults?.(object, context(data));
  return (ServiceKind.validate?.(object, context(data)) ?? []).map(({ field, message }) => `${field}: ${message}`);
}

test('config-defaults says what a revision has that does not say it', () => {
  const data = { 'revision-timeout-seconds': '90', 'container-concurrency': '7', 'enable-service-links': 'true' };
  const made = service();
  ServiceKind.setDefaults?.(made, context(data));
  const { timeoutSeconds, containerConcurrency, enableServiceLinks } = made.spec.template?.spec ?? {};
  assert.deepEqual(
    { timeoutSeconds, containerConcurrency, enableServiceLinks },
    {
      timeoutSeconds: 90,
      containerConcurrency: 7,
      enableServiceLinks: true,
    },
  );
  const own = service({ timeoutSeconds: 5, containerConcurrency: 0, enableServiceLinks: false });
  ServiceKind.setDefaults?.(own, context(data));
  assert.equal(own.spec.template?.spec?.timeoutSeconds, 5);
  assert.equal(own.spec.template?.spec?.containerConcurrency, 0);
  assert.equal(own.spec.template?.spec?.enableServiceLinks, false);
});

test('config-defaults says what a revision may ask for', () => {
  const spec = { timeoutSeconds: 900, containerConcurrency: 2000 };
  assert.equal(errorsOf(spec, {}).length, 2);
  const more = { 'max-revision-timeout-seconds': '900', 'container-concurrency-max-limit': '2000' };
  assert.deepEqual(errorsOf(spec, more), []);
  const refused = errorsOf({ containerConcurrency: 0 }, { 'allow-container-concurrency-zero': 'false' });
  assert.match(refused.join(), /spec\.template\.spec\.containerConcurrency: .*expected 1 <= 0 <= 1000/);
});

test('a revision that is there is not changed by new defaults', () => {
  const metadata = { name: 'web-00001', namespace: 'default' };
  const spec = { containers: [{ name: 'user-container', image: 'example.com/web' }] };
  const revision = { apiVersion: 'serving.knative.dev/v1', kind: 'Revision' as const, metadata, spec };
  const again = structuredClone(revision);
  RevisionKind.setDefaults?.(again, { old: revision, ...context({ 'revision-timeout-seconds': '90' }) });
  assert.deepEqual(again, revision);
});

test('a wrong value in config-defaults is named, and where it stands all the same Knative’s own are in force', () => {
  const cases: [data: Record<string, string>, message: RegExp][] = [
    [{ 'revision-timeout-seconds': '1.5' }, /^revision-timeout-seconds is "1\.5": expected a whole number$/],
    [{ 'container-concurrency': '-1' }, /^container-concurrency is "-1"/],
    [{ 'container-concurrency': '9'.repeat(400) }, /^container-concurrency is "9+": expected a whole number$/],
    [{ 'revision-timeout-seconds': '601' }, /^revision-timeout-seconds is 601: max-revision-timeout-seconds is 600$/],
    [{ 'container-concurrency': '1001' }, /^container-concurrency is 1001: container-concurrency-max-limit is 1000$/],
  ];
  for (const [data, message] of cases) {
    assert.throws(() => parseRevisionDefaults(data), { message });
    const made = service();
    ServiceKind.setDefaults?.(made, context(data));
    assert.equal(made.spec.template?.spec?.timeoutSeconds, 300);
  }
});
