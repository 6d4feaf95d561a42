import { type Lease, LeaseKind } from '../../../api/coordination/lease.ts';
import { table } from '../http/table/column.ts';
import type { Strategy } from '../strategy.ts';

export const leases: Strategy<Lease> = {
  kind: LeaseKind,
  columns: table<Lease>({ Holder: ({ spec }) => spec?.holderIdentity ?? '' }),
};
