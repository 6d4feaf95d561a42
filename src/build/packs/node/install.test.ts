import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { registrySettings } from './install.ts';

test('packages come from where this machine has set it up for npm, also by the settings beside npm', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kittiwake-npm-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of ['bin', 'etc']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'bin', 'npm'), '');
  chmodSync(join(folder, 'bin', 'npm'), 0o755);
  const settingsOf = (env: NodeJS.ProcessEnv) => {
    const { npm_config_globalconfig, npm_config_userconfig } = registrySettings({ name: 'npm' }, env);
    return [npm_config_globalconfig, npm_config_userconfig];
  };
  const PATH = `${folder}/none:${folder}/bin`;
  const npm_config_userconfig = join(folder, 'absent');
  assert.deepEqual(settingsOf({ PATH, npm_config_userconfig }), [undefined, undefined]);
  const beside = join(folder, 'etc', 'npmrc');
  writeFileSync(beside, 'cafile=/ca.crt\n');
  assert.deepEqual(settingsOf({ PATH, npm_config_userconfig }), [beside, undefined]);
  const [own, users] = ['own', 'users'].map((name) => join(folder, name));
  assert.ok(own && users);
  for (const file of [own, users]) writeFileSync(file, '');
  const given = { PATH, npm_config_globalconfig: own, npm_config_userconfig: users };
  assert.deepEqual(settingsOf(given), [own, users]);
});
