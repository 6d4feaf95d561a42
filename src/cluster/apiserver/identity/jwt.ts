import { sign, verify } from 'node:crypto';
import { isJsonObject } from '../../../lib/json-object.ts';
import type { SigningKey } from './signing-key.ts';

/** JSON Web Tokens as the API server signs them: ES256 (RFC 7515, RFC 7518). */
const algorithm = 'ES256';
/** Both halves of the signature, one after the other, as JWS has them. */
const dsaEncoding = 'ieee-p1363';

/** No token of ours is longer. */
const lengthMax = 16 * 1024;

export function signJwt(key: SigningKey, claims: object): string {
  const signed = `${encode({ alg: algorithm, kid: key.id })}.${encode(claims)}`;
  const signature = sign('sha256', Buffer.from(signed), { key: key.privateKey, dsaEncoding });
  return `${signed}.${signature.toString('base64url')}`;
}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** What a token that the key has signed says; undefined for any other text. Whether it is still good is not asked. */
export function verifyJwt(key: SigningKey, text: string): Record<string, unknown> | undefined {
  if (text.length > lengthMax) return undefined;
  const [header = '', payload = '', signature = '', ...more] = text.split('.');
  if (more.length > 0 || signature === '') return undefined;
  const { alg, crit, kid } = decode(header) ?? {};
  if (alg !== algorithm || crit !== undefined || (kid !== undefined && kid !== key.id)) return undefined;
  const isSigned = verify(
    'sha256',
    Buffer.from(`${header}.${payload}`),
    { key: key.publicKey, dsaEncoding },
    Buffer.from(signature, 'base64url'),
  );
  return isSigned ? decode(payload) : undefined;
}

function decode(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString());
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined; // Whatever it is, it is no token.
  }
}
