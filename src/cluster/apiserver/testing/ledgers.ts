import { fieldInvalid } from '../../../api/field-error.ts';
import { defineKind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/meta.ts';
import { array, integer, object, string, type ValueOf } from '../../../api/schema.ts';

const schema = object({ spec: object({ page: integer(), signatures: array(string()) }) }, { present: ['spec'] });

export type Ledger = KubeObject & ValueOf<typeof schema>;

/** The ConfigMap that ledgers go by. */
export const ledgerConfig = 'default/config-ledgers';

/** A kind that goes by all that its context tells: a default and a limit are configured, and who writes it signs it. */
export const LedgerKind = defineKind<Ledger>({
  group: 'test.kittiwake.dev',
  version: 'v1',
  kind: 'Ledger',
  schema,

  setDefaults({ spec }, { old, user, config }) {
    spec.page ??= Number(config[ledgerConfig]?.['first-page'] ?? 1);
    spec.signatures = [...(old?.spec.signatures ?? []), ...(user ? [user.name] : [])];
  },

  validate({ spec: { page = 0 } }, { old, config }) {
    const last = Number(config[ledgerConfig]?.['last-page'] ?? 10);
    if (page > last) return [fieldInvalid('spec.page', page, `must not be after the last page ${last}`)];
    if (old && page < (old.spec.page ?? 0)) return [fieldInvalid('spec.page', page, 'must not go back')];
    return [];
  },
});

export const ledger = (name: string, page?: number): Ledger => ({
  apiVersion: 'test.kittiwake.dev/v1',
  kind: 'Ledger',
  metadata: { name, namespace: 'default' },
  spec: { ...(page !== undefined && { page }) },
});
