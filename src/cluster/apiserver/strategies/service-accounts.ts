import { type ServiceAccount, ServiceAccountKind } from '../../../api/core/service-account.ts';
import { table } from '../http/table/column.ts';
import type { Strategy } from '../strategy.ts';

export const serviceAccounts: Strategy<ServiceAccount> = {
  kind: ServiceAccountKind,
  returnsDeleted: true,
  columns: table<ServiceAccount>({ Secrets: ({ secrets = [] }) => secrets.length }),
};
