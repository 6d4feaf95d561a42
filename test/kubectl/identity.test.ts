import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type SuiteContext, type TestContext } from 'node:test';
import { kubectlTest, openKubectlCluster } from './cluster.ts';

describe('kubectl and who is who', () => {
  const { ok, run } = openKubectlCluster();

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
