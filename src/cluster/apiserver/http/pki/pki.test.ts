import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { VirtualClock } from '../../../../lib/virtual-clock.ts';
import { issue } from './certificate.ts';
import { ensurePki } from './pki.ts';

const day = 24 * 3600 * 1000;

function temporary(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'kittiwake-pki-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test('the authority signs a server certificate for loopback and the names of the API, and client certificates', (t) => {
  const pki = ensurePki(temporary(t), new VirtualClock(Date.now()), ['127.0.0.1', '10.96.0.1']);
  const authority = new X509Certificate(pki.ca);
  const server = new X509Certificate(pki.server.cert);
  const admin = new X509Certificate(pki.clients.admin.cert);
  assert.ok(authority.ca && authority.checkIssued(authority) && authority.verify(authority.publicKey));
  for (const leaf of [server, admin]) assert.ok(leaf.checkIssued(authority) && leaf.verify(authority.publicKey));
  assert.ok(!server.ca);
  const names = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local'];
  for (const name of ['localhost', ...names]) assert.equal(server.checkHost(name), name);
  for (const address of ['127.0.0.1', '::1', '10.96.0.1']) assert.equal(server.checkIP(address), address);
  assert.equal(server.checkHost('example.com'), undefined);
  assert.equal(admin.subject, 'O=system:masters\nCN=kubernetes-admin');
  assert.deepEqual(admin.keyUsage, ['1.3.6.1.5.5.7.3.2']);
  assert.deepEqual(server.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  assert.equal(admin.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  const life = Date.parse(authority.validTo) - Date.now();
  assert.ok(life > 3640 * day && life < 3660 * day);
});

test('a second start reads the same certificates, and keys are readable by the owner only', (t) => {
  const dir = temporary(t);
  const clock = new VirtualClock(Date.now());
  const first = ensurePki(dir, clock);
  assert.deepEqual(ensurePki(dir, clock), first);
  for (const name of ['ca', 'server', 'admin', 'gateway', 'broker', 'network']) {
    assert.equal(statSync(join(dir, `${name}.key`)).mode & 0o777, 0o600);
  }
});

test('a certificate near its end is renewed, and those before it stay', (t) => {
  const dir = temporary(t);
  const clock = new VirtualClock(Date.now());
  const first = ensurePki(dir, clock);
  const later = ensurePki(dir, new VirtualClock(Date.now() + 300 * day));
  assert.equal(later.ca, first.ca);
  assert.notEqual(later.server.cert, first.server.cert);
  const muchLater = ensurePki(dir, new VirtualClock(Date.now() + 3000 * day));
  assert.notEqual(muchLater.ca, first.ca);
  assert.ok(new X509Certificate(muchLater.server.cert).verify(new X509Certificate(muchLater.ca).publicKey));
});

test('a damaged certificate, or a key that is not its own, is replaced', (t) => {
  const dir = temporary(t);
  const clock = new VirtualClock(Date.now());
  const first = ensurePki(dir, clock);
  writeFileSync(join(dir, 'admin.crt'), 'not a certificate');
  writeFileSync(join(dir, 'gateway.key'), readFileSync(join(dir, 'broker.key')));
  const second = ensurePki(dir, clock);
  assert.notEqual(second.clients.admin.cert, first.clients.admin.cert);
  assert.notEqual(second.clients.gateway.cert, first.clients.gateway.cert);
  assert.equal(second.clients.broker.cert, first.clients.broker.cert);
});

test('a role is the ServiceAccount that it would be on a cluster, and no administrator', (t) => {
  const { clients } = ensurePki(temporary(t), new VirtualClock(Date.now()));
  for (const role of ['gateway', 'broker', 'network'] as const) {
    const groups = 'O=system:serviceaccounts\nO=system:serviceaccounts:kittiwake-system';
    const { subject } = new X509Certificate(clients[role].cert);
    assert.equal(subject, `${groups}\nCN=system:serviceaccount:kittiwake-system:${role}`);
  }
});

test('a certificate of another user, as an earlier version made it, is replaced', (t) => {
  const dir = temporary(t);
  const clock = new VirtualClock(Date.now());
  const first = ensurePki(dir, clock);
  const authority = { cert: first.ca, key: readFileSync(join(dir, 'ca.key'), 'utf8') };
  const old = issue(
    {
      commonName: 'kittiwake:gateway',
      organizations: ['system:masters'],
      use: 'client',
      notBeforeMs: clock.now() - day,
      notAfterMs: clock.now() + 365 * day,
    },
    { subject: { commonName: 'kittiwake-ca' }, keyPair: authority },
  );
  writeFileSync(join(dir, 'gateway.crt'), old.cert);
  writeFileSync(join(dir, 'gateway.key'), old.key);
  const second = ensurePki(dir, clock);
  assert.match(new X509Certificate(second.clients.gateway.cert).subject, /CN=system:serviceaccount:kittiwake-system:/);
  assert.deepEqual({ ...second.clients, gateway: first.clients.gateway }, first.clients);
  assert.deepEqual(ensurePki(dir, clock), second);
});

test('a file that cannot be read is named, with what to do', (t) => {
  const dir = temporary(t);
  const clock = new VirtualClock(Date.now());
  ensurePki(dir, clock);
  rmSync(join(dir, 'server.key'));
  mkdirSync(join(dir, 'server.key'));
  assert.throws(() => ensurePki(dir, clock), /server\.key cannot be read: EISDIR.*; remove it to have it made anew/);
});
