import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import * as der from './der.ts';

/** A certificate with its private key, both in PEM. */
export interface Identity {
  cert: string;
  key: string;
}

export interface CertificateRequest {
  commonName: string;
  organizations?: readonly string[];
  /** A certificate authority signs others; a server and a client prove who they are. */
  use: 'authority' | 'server' | 'client';
  /** DNS names and IP addresses that the certificate is valid for. */
  names?: readonly string[];
  notBeforeMs: number;
  notAfterMs: number;
}

const oids = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  organization: '2.5.4.10',
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
};

/** Makes a P-256 key and an X.509 v3 certificate for it (RFC 5280), signed by `issuer`, or by itself without one. */
export function issue(request: CertificateRequest, issuer?: { subject: Subject; keyPair: Identity }): Identity {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const subject = nameOf(request);
  const signingKey = issuer ? issuer.keyPair.key : key;
  const authority = issuer ? createPublicKey(issuer.keyPair.key) : pair.publicKey;
  const algorithm = der.sequence(der.oid(oids.ecdsaWithSha256));
  // A serial is positive, unique and unpredictable, at most 20 bytes (RFC 5280, 4.1.2.2).
  const serial = Buffer.concat([Buffer.of(0x01), randomBytes(15)]);
  const body = der.sequence(
    der.tagged(0, der.integer(Buffer.of(2))), // v3
    der.integer(serial),
    algorithm,
    issuer ? nameOf(issuer.subject) : subject,
    der.sequence(der.time(request.notBeforeMs), der.time(request.notAfterMs)),
    subject,
    pair.publicKey.export({ type: 'spki', format: 'der' }),
    der.tagged(3, der.sequence(...extensions(request, pair.publicKey, authority))),
  );
  const signature = sign('sha256', body, { key: signingKey, dsaEncoding: 'der' });
  return { cert: pem(der.sequence(body, algorithm, der.bitString(signature))), key };
}

export interface Subject {
  commonName: string;
  organizations?: readonly string[];
}

function nameOf(subject: Subject): Buffer {
  const attribute = (type: string, value: string) => der.set(der.sequence(der.oid(type), der.utf8String(value)));
  return der.sequence(
    ...(subject.organizations ?? []).map((organization) => attribute(oids.organization, organization)),
    attribute(oids.commonName, subject.commonName),
  );
}

function extensions(request: CertificateRequest, subjectKey: KeyObject, authorityKey: KeyObject): Buffer[] {
  const { names = [], use } = request;
  const list = [
    extension(oids.basicConstraints, der.sequence(...(use === 'authority' ? [der.boolean(true)] : [])), true),
    // Bits from the left: digitalSignature is 0, keyCertSign 5, cRLSign 6.
    use === 'authority'
      ? extension(oids.keyUsage, der.bitString(Buffer.of(0b1000_0110), 1), true)
      : extension(oids.keyUsage, der.bitString(Buffer.of(0b1000_0000), 7), true),
    extension(oids.subjectKeyIdentifier, der.octetString(keyIdentifier(subjectKey))),
    extension(oids.authorityKeyIdentifier, der.sequence(der.taggedPrimitive(0, keyIdentifier(authorityKey)))),
  ];
  if (use !== 'authority') {
    const purpose = use === 'server' ? oids.serverAuth : oids.clientAuth;
    list.push(extension(oids.extendedKeyUsage, der.sequence(der.oid(purpose))));
  }
  if (names.length > 0) list.push(extension(oids.subjectAltName, der.sequence(...names.map(generalName))));
  return list;
}

function extension(id: string, value: Buffer, isCritical = false): Buffer {
  return der.sequence(der.oid(id), ...(isCritical ? [der.boolean(true)] : []), der.octetString(value));
}

/** The SHA-1 of the subject's public key (RFC 5280, 4.2.1.2): an identifier, not a proof. */
function keyIdentifier(key: KeyObject): Buffer {
  const spki = key.export({ type: 'spki', format: 'der' });
  // An uncompressed P-256 point is the last 65 bytes of its SubjectPublicKeyInfo.
  return createHash('sha1').update(spki.subarray(-65)).digest();
}

function generalName(name: string): Buffer {
  return isIP(name) === 0 ? der.taggedPrimitive(2, Buffer.from(name)) : der.taggedPrimitive(7, addressBytes(name));
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const all = [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

function pem(content: Buffer): string {
  const lines = content.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
