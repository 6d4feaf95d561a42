import { createHash } from 'node:crypto';

/** Lower-case hex characters in a digest of each algorithm that the OCI image specification registers. */
const hexLength = { sha256: 64, sha512: 128 } as const;

export type DigestAlgorithm = keyof typeof hexLength;

export interface Digest {
  algorithm: DigestAlgorithm;
  hex: string;
}

/** Reads `sha256:…` or `sha512:…`; undefined when it is neither, so that what comes back is safe in a path. */
export function parseDigest(text: string): Digest | undefined {
  const colon = text.indexOf(':');
  const algorithm = text.slice(0, colon);
  const hex = text.slice(colon + 1);
  if (algorithm !== 'sha256' && algorithm !== 'sha512') return undefined;
  return hex.length === hexLength[algorithm] && /^[0-9a-f]+$/.test(hex) ? { algorithm, hex } : undefined;
}

/** The digest of `content`, for example `sha256:e3b0…`. */
export function digestOf(content: Buffer | string, algorithm: DigestAlgorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(content).digest('hex')}`;
}
