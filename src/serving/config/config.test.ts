import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigMap } from '../../api/core/config-map.ts';
import type { FieldError } from '../../api/field-error.ts';
import { parseAutoscalerConfig } from '../../api/serving/autoscaler-config.ts';
import type { AdmissionRequest } from '../../kube/admission.ts';
import type { Cache } from '../../kube/reconciler.ts';
import { silentLogger } from '../../observe/log.ts';
import { configAdmission } from './admission.ts';
import { autoscalerConfigReader } from './autoscaler.ts';
import { domainFor, parseDomainConfig } from './domain.ts';

test('config-autoscaler has the defaults of Knative', () => {
  const config = parseAutoscalerConfig({ _example: 'anything: at all' });
  assert.equal(config.stableWindowMs, 60_000);
  assert.equal(config.targetUtilization, 0.7);
  assert.equal(config.panicThreshold, 2);
  assert.equal(config.initialScale, 1);
});

test('a wrong value in config-autoscaler is named', () => {
  const cases: [data: Record<string, string>, message: RegExp][] = [
    [{ 'stable-window': '5s' }, /^stable-window is 5s: expected 6s to 3600s$/],
    [{ 'stable-window': 'a while' }, /^stable-window is "a while": expected a duration/],
    [{ 'max-scale-up-rate': '1' }, /^max-scale-up-rate is "1"/],
    [{ 'enable-scale-to-zero': 'maybe' }, /^enable-scale-to-zero is "maybe": expected true or false$/],
    [{ 'initial-scale': '0' }, /^initial-scale is 0: allow-zero-initial-scale must be true/],
    [{ 'min-scale': '5', 'max-scale': '2' }, /^max-scale is 2: min-scale is 5$/],
    [{ 'max-scale-limit': '5' }, /^max-scale is 0: it must be from 1 to max-scale-limit, 5$/],
    [{ 'max-scale': '1e300' }, /^max-scale is "1e300": expected 0 to 2147483647$/],
    [{ 'max-scale': '-1' }, /^max-scale is "-1": expected 0/],
    [{ 'max-scale-up-rate': 'NaN' }, /^max-scale-up-rate is "NaN": expected 1.01/],
    [{ 'max-scale-up-rate': 'Infinity' }, /^max-scale-up-rate is "Infinity"/],
    [{ 'stable-window': '9999999999h' }, /^stable-window is 9999999999h: expected 6s to 3600s$/],
    [{ 'stable-window': '-60s' }, /^stable-window is -60s/],
    [{ 'scale-down-delay': `${'9'.repeat(400)}h` }, /^scale-down-delay is 9+h: expected 0s to 3600s$/],
    [{ 'panic-window-percentage': '' }, /^panic-window-percentage is "": expected 1 to 100$/],
    [{ 'min-scale': '1.5' }, /^min-scale is 1.5: expected a whole number$/],
  ];
  for (const [data, message] of cases) assert.throws(() => parseAutoscalerConfig(data), { message });
  assert.equal(parseAutoscalerConfig({ 'container-concurrency-target-percentage': '0.8' }).targetUtilization, 0.8);
});

test('an invalid ConfigMap leaves the last good one in force', () => {
  let stored: ConfigMap | undefined;
  const cache = { get: () => stored } as unknown as Cache;
  const read = autoscalerConfigReader();
  const put = (window: string) => {
    const metadata = { name: 'config-autoscaler', namespace: 'knative-serving' };
    stored = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'stable-window': window } };
  };
  assert.equal(read(cache, silentLogger).stableWindowMs, 60_000);
  put('30s');
  assert.equal(read(cache, silentLogger).stableWindowMs, 30_000);
  put('nonsense');
  assert.equal(read(cache, silentLogger).stableWindowMs, 30_000);
  put('20s');
  assert.equal(read(cache, silentLogger).stableWindowMs, 20_000);
  stored = undefined;
  assert.equal(read(cache, silentLogger).stableWindowMs, 60_000);
});

test('a ConfigMap of the operator that cannot mean what it says is refused, but may go', () => {
  const errorsOf = (name: string, data: Record<string, string>, more: Partial<AdmissionRequest<ConfigMap>> = {}) => {
    const object: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data };
    const request = { operation: 'UPDATE' as const, namespace: 'knative-serving', object, ...more };
    return configAdmission.validate?.(request as AdmissionRequest<ConfigMap>);
  };
  const wrong: [name: string, data: Record<string, string>][] = [
    ['config-autoscaler', { 'stable-window': '5s' }],
    ['config-gc', { 'min-non-active-revisions': 'some' }],
    ['config-domain', { 'a.b': 'selector: 7' }],
    ['config-defaults', { 'container-concurrency': 'two' }],
  ];
  for (const [name, data] of wrong) {
    assert.deepEqual(errorsOf(name, {}), []);
    const [error, ...others] = (errorsOf(name, data) ?? []) as FieldError[];
    assert.match(error?.message ?? '', new RegExp(Object.keys(data)[0] ?? ''), name);
    assert.deepEqual(others, []);
    assert.deepEqual(errorsOf(name, data, { operation: 'DELETE' }), []);
    assert.deepEqual(errorsOf(name, data, { namespace: 'default' }), []);
  }
  assert.deepEqual(errorsOf('config-else', { anything: 'at all' }), []);
});

test('a Route is under the domain whose labels it has most of', () => {
  const config = parseDomainConfig(
    {
      'example.org': 'selector:\n  app: shop\n',
      'prod.example.org': 'selector: {app: shop, env: prod}',
      'dev.local': '',
    },
    'localhost',
  );
  assert.equal(domainFor(config, undefined), 'dev.local');
  assert.equal(domainFor(config, { app: 'shop' }), 'example.org');
  assert.equal(domainFor(config, { app: 'shop', env: 'prod' }), 'prod.example.org');
  assert.equal(domainFor(parseDomainConfig({}, 'localhost'), { app: 'shop' }), 'localhost');
  const bomb = `x: &a [1,1]\ny: &b [*a,*a]\nselector: {app: [*b,*b]}`;
  assert.throws(() => parseDomainConfig({ 'a.b': bomb }, 'localhost'), /^Error: a.b: the label app of "selector" must/);
  for (const text of ['[', '{{', '\u0000', '['.repeat(100_000)]) {
    assert.throws(() => parseDomainConfig({ 'a.b': text }, 'localhost'), Error, text.slice(0, 9));
  }
  assert.throws(() => parseDomainConfig({ 'a.b': 'selector: 7' }, 'localhost'), /^Error: a.b: expected nothing/);
});
