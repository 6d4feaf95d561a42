import { type ServiceAccount, ServiceAccountKind } from '../../../api/core/service-account.ts';
import type { Clock } from '../../../lib/clock.ts';
import { table } from '../http/table/column.ts';
import type { ServiceAccountTokens } from '../identity/service-account-tokens.ts';
import type { Strategy } from '../strategy.ts';
import { tokenRequests } from './token-requests.ts';

/** `tokens`: what issues them; without it there are none. */
export const serviceAccounts = (tokens: ServiceAccountTokens | undefined, clock: Clock): Strategy<ServiceAccount> => ({
  kind: ServiceAccountKind,
  returnsDeleted: true,
  columns: table<ServiceAccount>({ Secrets: ({ secrets = [] }) => secrets.length }),
  subresources: { token: tokenRequests(tokens, clock) },
});
