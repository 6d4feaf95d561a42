import { badRequest } from '../../api/status.ts';
import { isJsonObject } from '../../lib/json-object.ts';

/** Where the next page of a list begins: behind the key `after`, in the state at `revision` (0: whatever is newest). */
export interface ContinueToken {
  revision: number;
  after: string;
}

export function encodeContinue({ revision, after }: ContinueToken): string {
  return Buffer.from(JSON.stringify({ v: 1, rv: revision, after })).toString('base64url');
}

/** 400 when the token is not one of ours. */
export function decodeContinue(token: string): ContinueToken {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString());
    if (isJsonObject(value) && value.v === 1 && Number.isInteger(value.rv) && typeof value.after === 'string') {
      return { revision: value.rv as number, after: value.after };
    }
  } catch {
    // Not JSON: not one of ours.
  }
  throw badRequest('continue key is not valid: it is not a token that a list of this server gave');
}
