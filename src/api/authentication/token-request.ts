import { type FieldError, fieldInvalid } from '../field-error.ts';
import type { KubeObject } from '../meta.ts';
import { atomicList, integer, object, string, type ValueOf } from '../schema.ts';

const tokenRequestSchema = object({
  spec: object({
    audiences: atomicList(string(), { description: "For whom the token is; the API server's own unless given." }),
    expirationSeconds: integer({ format: 'int64', description: 'An hour unless given; at least ten minutes.' }),
    boundObjectRef: object({ kind: string(), apiVersion: string(), name: string(), uid: string() }),
  }),
  status: object({ token: string(), expirationTimestamp: string({ format: 'date-time', nullable: true }) }),
});

/** Asks for a token of a ServiceAccount, which is good as long as the account and what it is bound to are there. */
export interface TokenRequest extends KubeObject, ValueOf<typeof tokenRequestSchema> {}

/** What `serviceaccounts/token` takes and answers; it is not stored. */
export const TokenRequestKind = {
  group: 'authentication.k8s.io',
  version: 'v1',
  kind: 'TokenRequest',
  plural: 'tokenrequests',
  schema: tokenRequestSchema,
} as const;

/** How long a token is good for that is asked for without saying so. */
export const tokenSecondsDefault = 3600;
const secondsMin = 600;
const secondsMax = 2 ** 32;

/** How long a token may be asked to be good for. */
export function validateTokenSeconds(seconds: number | undefined, at: string): FieldError[] {
  if (seconds === undefined) return [];
  if (seconds < secondsMin) return [fieldInvalid(at, seconds, 'may not specify a duration less than 10 minutes')];
  if (seconds <= secondsMax) return [];
  return [fieldInvalid(at, seconds, 'may not specify a duration larger than 2^32 seconds')];
}
