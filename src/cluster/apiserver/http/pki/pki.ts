import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmodSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { clusterDomain } from '../../../../api/names.ts';
import { authenticatedGroup, serviceAccount } from '../../../../api/user.ts';
import type { Clock } from '../../../../lib/clock.ts';
import { makeFolder, replaceFile } from '../../../../lib/durable.ts';
import { messageOf } from '../../../../lib/errors.ts';
import { type CertificateRequest, type Identity, issue, type Subject } from './certificate.ts';

/** Who may be met on the API server's listener. `admin` is for people; the others are processes of the platform. */
export type ClientName = 'admin' | 'gateway' | 'broker' | 'network';

export interface Pki {
  /** The certificate that signed all others, in PEM. */
  ca: string;
  server: Identity;
  clients: Record<ClientName, Identity>;
}

const dayMs = 24 * 3600 * 1000;
const authorityLifeMs = 3650 * dayMs;
const leafLifeMs = 365 * dayMs;
/** A certificate is replaced when less than a fifth of its life is left. */
const renewalShare = 0.2;
/** Certificates begin a little in the past, for clients whose clock is behind. */
const clockSkewMs = 3600 * 1000;

const authoritySubject: Subject = { commonName: 'kittiwake-ca' };
const serverNames = [
  '127.0.0.1', '::1', 'localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc',
  `kubernetes.default.${clusterDomain}`,
]; // biome-ignore format: one list reads as one list
/** The roles are the ServiceAccounts that they would be on a cluster, so that what is granted to them is the same. */
const clientSubjects: Record<ClientName, Subject> = {
  admin: { commonName: 'kubernetes-admin', organizations: ['system:masters'] },
  gateway: roleSubject('gateway'),
  broker: roleSubject('broker'),
  network: roleSubject('network'),
};

function roleSubject(role: string): Subject {
  const { name, groups } = serviceAccount('kittiwake-system', role);
  // That it is authenticated is said of whoever shows a certificate.
  return { commonName: name, organizations: groups.filter((group) => group !== authenticatedGroup) };
}

/** As X509Certificate shows it. */
const subjectText = ({ commonName, organizations = [] }: Subject) =>
  [...organizations.map((organization) => `O=${organization}`), `CN=${commonName}`].join('\n');

/**
 * The certificates of the API server (which is met at `addresses`, too) and its clients, from `dir`; those that are
 * missing, damaged, near their end or somebody else's are made anew (with all the others when it is the authority's
 * own). Keys are readable by the owner only.
 */
export function ensurePki(dir: string, clock: Clock, addresses: readonly string[] = []): Pki {
  makeFolder(dir, { mode: 0o700 });
  chmodSync(dir, 0o700);
  const now = clock.now();
  const validity = (lifeMs: number) => ({ notBeforeMs: now - clockSkewMs, notAfterMs: now + lifeMs });

  const names = [...new Set([...serverNames, ...addresses])];
  const authority = ensure(dir, 'ca', now, undefined, () =>
    issue({ ...authoritySubject, use: 'authority', ...validity(authorityLifeMs) }),
  );
  const leaf = (name: string, request: Omit<CertificateRequest, 'notBeforeMs' | 'notAfterMs'>) =>
    ensure(
      dir,
      name,
      now,
      { authority: authority.cert, names: request.names ?? [], subject: subjectText(request) },
      () => issue({ ...request, ...validity(leafLifeMs) }, { subject: authoritySubject, keyPair: authority }),
    );
  return {
    ca: authority.cert,
    server: leaf('server', { commonName: 'kubernetes', use: 'server', names }),
    clients: {
      admin: leaf('admin', { ...clientSubjects.admin, use: 'client' }),
      gateway: leaf('gateway', { ...clientSubjects.gateway, use: 'client' }),
      broker: leaf('broker', { ...clientSubjects.broker, use: 'client' }),
      network: leaf('network', { ...clientSubjects.network, use: 'client' }),
    },
  };
}

interface Expected {
  authority: string;
  names: readonly string[];
  subject: string;
}

function ensure(
  dir: string,
  name: string,
  nowMs: number,
  expected: Expected | undefined,
  make: () => Identity,
): Identity {
  const certPath = join(dir, `${name}.crt`);
  const keyPath = join(dir, `${name}.key`);
  const found = read(certPath, keyPath);
  if (found && isUsable(found, nowMs, expected)) return found;
  const made = make();
  // Others hold copies of the authority, and of no other: it must be the same for good.
  const isAuthority = expected === undefined;
  writeSecret(keyPath, made.key, isAuthority);
  writeSecret(certPath, made.cert, isAuthority);
  return made;
}

function read(certPath: string, keyPath: string): Identity | undefined {
  const [cert, key] = [readPem(certPath), readPem(keyPath)];
  return cert === undefined || key === undefined ? undefined : { cert, key };
}

function readPem(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`${path} cannot be read: ${messageOf(error)}; remove it to have it made anew`, { cause: error });
  }
}

/** Whether the pair belongs together, is signed by the authority, says what it must, and is far from its end. */
function isUsable(identity: Identity, nowMs: number, expected: Expected | undefined): boolean {
  try {
    const certificate = new X509Certificate(identity.cert);
    const from = Date.parse(certificate.validFrom);
    const to = Date.parse(certificate.validTo);
    if (nowMs < from || to - nowMs < (to - from) * renewalShare) return false;
    if (!certificate.checkPrivateKey(createPrivateKey(identity.key))) return false;
    if (!expected) return certificate.ca;
    const authority = new X509Certificate(expected.authority);
    return (
      certificate.verify(authority.publicKey) &&
      certificate.subject === expected.subject &&
      expected.names.every((n) => (isIP(n) !== 0 ? certificate.checkIP(n) : certificate.checkHost(n)) !== undefined)
    );
  } catch {
    return false; // A damaged file is replaced like an absent one.
  }
}

/** Unless it `mustLast`, it is made anew when it is damaged. */
export function writeSecret(path: string, text: string, mustLast = false): void {
  replaceFile(path, text, { mode: 0o600, mustLast });
}
