// Installs exactly what package-lock.json says, unless that is there already.
// Plain JavaScript: it runs on Node 20.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const stampFile = `${root}/node_modules/.kittiwake-lock`;

const lock = readFileSync(`${root}/package-lock.json`);
const stamp = createHash('sha256').update(lock).update(`${process.platform}-${process.arch}`).digest('hex');

if (installedStamp() !== stamp) {
  console.log('Installing what package-lock.json says (once) …');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const result = spawnSync(npm, ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (result.status !== 0) {
    console.error(
      `kittiwake: npm ci failed (${result.error?.message ?? `exit code ${result.status}`}): see its message above`,
    );
    process.exit(1);
  }
  writeFileSync(stampFile, stamp);
}

function installedStamp() {
  try {
    return readFileSync(stampFile, 'utf8');
  } catch {
    return undefined; // Nothing installed yet, or by a plain `npm install`: install again.
  }
}
