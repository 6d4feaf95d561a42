import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Configuration, Kind } from '../../api/kind.ts';
import { ConfigurationKind } from '../../api/serving/configuration.ts';
import { LedgerKind, ledger, ledgerConfig } from './testing/ledgers.ts';
import { openApi } from './testing/open-api.ts';

const kinds = [LedgerKind as unknown as Kind];
const key = { namespace: 'default', name: 'a' };

test('a kind goes by the configuration of the moment, the stored object and who writes', async (t) => {
  let config: Configuration = {};
  const { api } = await openApi(t, { kinds, config: () => config });
  const { client } = api;
  const made = await client.create(LedgerKind, ledger('a'));
  assert.equal(made.spec.page, 1);
  assert.equal(made.spec.signatures?.length, 1);
  await assert.rejects(client.create(LedgerKind, ledger('b', 11)), /spec\.page: .*after the last page 10/);

  config = { [ledgerConfig]: { 'first-page': '5', 'last-page': '20' } };
  assert.equal((await client.create(LedgerKind, ledger('b'))).spec.page, 5);
  const turned = await client.update(LedgerKind, { ...made, spec: { page: 11 } });
  assert.equal(turned.spec.signatures?.length, 2);
  const back = { type: 'merge' as const, patch: { spec: { page: 2 } } };
  await assert.rejects(client.patch(LedgerKind, key, back), /must not go back/);
});

test('what only waits for its finalizers is let go, whatever limits were lowered since', async (t) => {
  let config: Configuration = {};
  const { api } = await openApi(t, { kinds: [ConfigurationKind as unknown as Kind], config: () => config });
  const { client } = api;
  const spec = { template: { spec: { containers: [{ name: 'c', image: 'a' }] } } };
  const { apiVersion, kind } = { apiVersion: 'serving.knative.dev/v1', kind: 'Configuration' };
  const metadata = { ...key, finalizers: ['test.kittiwake.dev/one', 'test.kittiwake.dev/two'] };
  await client.create(ConfigurationKind, { apiVersion, kind, metadata, spec });

  config = {
    'knative-serving/config-defaults': { 'max-revision-timeout-seconds': '100', 'revision-timeout-seconds': '50' },
  };
  const relabelled = { type: 'merge' as const, patch: { metadata: { labels: { a: 'b' } } } };
  const tooLong = /timeoutSeconds: .*expected 0 <= 300 <= 100/;
  await assert.rejects(client.patch(ConfigurationKind, key, relabelled), tooLong);
  await client.delete(ConfigurationKind, key);
  const one = { type: 'merge' as const, patch: { metadata: { finalizers: metadata.finalizers.slice(1) } } };
  await client.patch(ConfigurationKind, key, one);
  const changed = { type: 'merge' as const, patch: { spec: { template: { metadata: { labels: { a: 'b' } } } } } };
  await assert.rejects(client.patch(ConfigurationKind, key, changed), tooLong);
  await client.patch(ConfigurationKind, key, { type: 'merge', patch: { metadata: { finalizers: null } } });
  assert.equal(await client.get(ConfigurationKind, key), undefined);
});

test('a label that names the owner is judged when it is set, not when the owner leaves it behind', async (t) => {
  const { api } = await openApi(t, { kinds: [ConfigurationKind as unknown as Kind] });
  const { client } = api;
  const owner = { apiVersion: 'serving.knative.dev/v1', kind: 'Service', name: 's', uid: 'u' };
  const configuration = (ownerReferences: (typeof owner)[]) => ({
    ...{ apiVersion: 'serving.knative.dev/v1', kind: 'Configuration' },
    metadata: { ...key, labels: { 'serving.knative.dev/service': 's' }, ownerReferences },
    spec: { template: { spec: { containers: [{ name: 'c', image: 'a' }] } } },
  });
  await assert.rejects(client.create(ConfigurationKind, configuration([])), /no owner reference to Service "s"/);
  await client.create(ConfigurationKind, configuration([owner]));
  await client.patch(ConfigurationKind, key, { type: 'merge', patch: { metadata: { ownerReferences: null } } });
  const other = { type: 'merge' as const, patch: { metadata: { labels: { 'serving.knative.dev/service': 't' } } } };
  await assert.rejects(client.patch(ConfigurationKind, key, other), /no owner reference to Service "t"/);
});
