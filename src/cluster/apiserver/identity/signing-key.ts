import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmodSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeFolder, replaceFile } from '../../../lib/durable.ts';
import { messageOf } from '../../../lib/errors.ts';

/** What the tokens of ServiceAccounts are signed with: a P-256 key, and its name as Kubernetes derives it. */
export interface SigningKey {
  /** The SHA-256 of the public key's DER, as `kid` in the tokens and in the published key set. */
  id: string;
  privateKey: KeyObject;
  publicKey: KeyObject;
}

/**
 * The key in the file (PKCS #8, readable by its owner only); made when there is none. It lasts: all tokens that are in
 * use end with it. Throws when the file holds no such key: a new one in its place would lock out what runs.
 */
export function ensureSigningKey(path: string): SigningKey {
  const found = read(path);
  if (found !== undefined) return keyOf(found, path);
  makeFolder(dirname(path), { mode: 0o700 });
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const text = `${privateKey.export({ type: 'pkcs8', format: 'pem' })}`;
  replaceFile(path, text, { mode: 0o600 });
  return keyOf(text, path);
}

function read(path: string): string | undefined {
  try {
    const text = readFileSync(path, 'utf8');
    chmodSync(path, 0o600);
    return text;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function keyOf(text: string, path: string): SigningKey {
  try {
    const privateKey = createPrivateKey(text);
    const { namedCurve } = privateKey.asymmetricKeyDetails ?? {};
    if (namedCurve !== 'prime256v1') throw new Error('it is no P-256 key');
    const publicKey = createPublicKey(privateKey);
    const der = publicKey.export({ type: 'spki', format: 'der' });
    return { id: createHash('sha256').update(der).digest('base64url'), privateKey, publicKey };
  } catch (error) {
    const remedy = 'put it back, or remove the file to have one made: pods get new tokens when they start again';
    throw new Error(`the key in ${path} cannot be used: ${messageOf(error)}: ${remedy}`, { cause: error });
  }
}

/** The public half as a JSON Web Key (RFC 7517). */
export const publicJwk = ({ id, publicKey }: SigningKey): object => {
  const { crv, kty, x, y } = publicKey.export({ format: 'jwk' });
  return { use: 'sig', kty, kid: id, crv, alg: 'ES256', x, y };
};
