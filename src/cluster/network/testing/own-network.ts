import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { basename } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/**
 * Declares tests that change the host's network: this file runs once more, in a network namespace of its own, where
 * they are declared; here, one test says how that went. Nothing of this machine's network is touched.
 */
export function inOwnNetwork(url: string, declare: () => void): void {
  if (process.env[mark] === url) {
    declare();
    return;
  }
  const file = fileURLToPath(url);
  test(`${basename(file)}, in a network of its own`, { skip: missingForNetworks() ?? false }, async () => {
    // What /sys shows is the network's; the control groups in it stay as they are.
    const groups = 'mount -t tmpfs run /run && mkdir /run/groups && mount --rbind /sys/fs/cgroup /run/groups';
    const sys = 'mount -t sysfs sys /sys && mount --move /run/groups /sys/fs/cgroup';
    const inside = `${groups} && ${sys} && ip link set lo up && exec "$0" "$@"`;
    const node = [process.execPath, '--test', '--test-isolation=none', '--test-reporter=spec', file];
    const child = spawn('unshare', ['--net', '--mount', '--fork', '--kill-child', 'sh', '-c', inside, ...node], {
      env: { ...process.env, [mark]: url, NODE_TEST_CONTEXT: undefined },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    const code = await new Promise((resolve) => child.on('close', resolve));
    assert.equal(code, 0, output);
  });
}

const mark = 'KITTIWAKE_TEST_OWN_NETWORK';

/** Why this machine cannot run them; undefined when it can. */
function missingForNetworks(): string | undefined {
  if (process.platform !== 'linux') return 'only Linux has network namespaces';
  if (process.getuid?.() !== 0) return 'needs root';
  for (const [command = '', ...args] of [
    ['ip', '-V'],
    ['nft', '--version'],
    ['nsenter', '--version'],
    ['unshare', '--net', '--mount', 'true'],
  ]) {
    if (spawnSync(command, args).status !== 0) return `${command} is not there, or may not`;
  }
  return undefined;
}
