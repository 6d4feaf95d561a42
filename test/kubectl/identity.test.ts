import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type SuiteContext, type TestContext } from 'node:test';
import { kubectlTest, openKubectlCluster } from './cluster.ts';

describe('kubectl and who is who', () => {
  const { ok, run } = openKubectlCluster({ hasRoles: true });

  kubectlTest('a token of a ServiceAccount is made, and acts as it', async (t) => {
    await ok('create', 'serviceaccount', 'robot');
    const token = (await ok('create', 'token', 'robot', '--duration', '20m')).trim();
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    assert.equal(claims.exp - claims.iat, 1200);
    const who = await ok('auth', 'whoami', '-o', 'json', '--kubeconfig', await configOf(t, token));
    assert.equal(JSON.parse(who).status.userInfo.username, 'system:serviceaccount:default:robot');
    const { code, stderr } = await run('create', 'token', 'robot', '--duration', '1m');
    assert.equal(code, 1);
    assert.match(stderr, /spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes/);
    assert.match((await run('create', 'token', 'nobody')).stderr, /serviceaccounts "nobody" not found/);
  });

  kubectlTest('what somebody may do is asked, given and listed', async (t) => {
    await ok('create', 'serviceaccount', 'reader');
    const file = await configOf(t, (await ok('create', 'token', 'reader')).trim());
    const mine = ['--kubeconfig', file];
    const refused = await run('get', 'pods', ...mine);
    assert.equal(
      refused.stderr.trim(),
      'Error from server (Forbidden): pods is forbidden: User "system:serviceaccount:default:reader" cannot list ' +
        'resource "pods" in API group "" in the namespace "default"',
    );
    assert.deepEqual(await run('auth', 'can-i', 'list', 'pods', ...mine), { code: 1, stdout: 'no\n', stderr: '' });
    await ok('create', 'role', 'pods', '--verb', 'get,list', '--resource', 'pods,pods/log');
    await ok('create', 'rolebinding', 'reads', '--role', 'pods', '--serviceaccount', 'default:reader');
    assert.equal(await ok('auth', 'can-i', 'list', 'pods', ...mine), 'yes\n');
    assert.equal((await run('auth', 'can-i', 'list', 'pods', '-n', 'kube-system', ...mine)).stdout, 'no\n');
    assert.match(await ok('auth', 'can-i', '--list', ...mine), /^pods +\[\] +\[\] +\[get list\]$/m);
    assert.equal((await run('get', 'pods', ...mine)).stderr, 'No resources found in default namespace.\n');
    await ok('create', 'configmap', 'mine');
    await ok(
      'create',
      'role',
      'one',
      '--verb',
      'get,list,watch',
      '--resource',
      'configmaps',
      '--resource-name',
      'mine',
    );
    await ok('create', 'rolebinding', 'one', '--role', 'one', '--serviceaccount', 'default:reader');
    const named = ['get', 'configmaps', '-o', 'name', '--field-selector'];
    assert.equal(await ok(...named, 'metadata.name=mine', ...mine), 'configmap/mine\n');
    assert.match((await run(...named, 'metadata.name=kube-root-ca.crt', ...mine)).stderr, /cannot list resource/);
    assert.match((await run('get', 'configmaps', ...mine)).stderr, /cannot list resource "configmaps"/);
    assert.match(await ok('get', 'rolebindings', '-o', 'wide'), /^reads +Role\/pods +\S+ +default\/reader$/m);
    assert.match(await ok('describe', 'clusterrole', 'cluster-admin'), /\*\.\* +\[\] +\[\] +\[\*\]/);
  });

  /** A file with nothing but the token to show who asks. */
  async function configOf(t: TestContext | SuiteContext, token: string): Promise<string> {
    const config = JSON.parse(await ok('config', 'view', '--raw', '-o', 'json'));
    for (const { user } of config.users) {
      for (const key of Object.keys(user)) delete user[key];
      user.token = token;
    }
    const dir = mkdtempSync(join(tmpdir(), 'kittiwake-bearer-'));
    if ('after' in t) t.after(() => rmSync(dir, { recursive: true }));
    const file = join(dir, 'config');
    writeFileSync(file, JSON.stringify(config));
    return file;
  }
});
