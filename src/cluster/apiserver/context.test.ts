import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Configuration, Kind } from '../../api/kind.ts';
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
