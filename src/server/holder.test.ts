import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { processOf } from '../lib/processes.ts';
import { type Addresses, readAddresses, writeAddresses } from './addresses.ts';
import { checkNotHeld, openDataDir } from './data-dir.ts';
import { holderOf } from './holder.ts';

const linuxOnly = { skip: existsSync('/proc/self/stat') ? false : 'no /proc on this system' };

async function withFolder(use: (dataDir: string) => void | Promise<void>): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'kittiwake-holder-'));
  mkdirSync(join(dataDir, 'run'));
  try {
    await use(dataDir);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Runs `script` in a shell of its own while `use` runs; it gets the first line that the script prints. */
async function withShell(script: string, use: (line: string, shell: ChildProcess) => Promise<void>): Promise<void> {
  const shell = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const [line] = await once(shell.stdout, 'data');
    await use(String(line).trim(), shell);
  } finally {
    shell.kill('SIGKILL');
    await once(shell, 'close');
  }
}

const pidFile = (dataDir: string) => join(dataDir, 'run', 'pid');

test('a pid file that names no process, or more than one, names no holder', () =>
  withFolder((dataDir) => {
    // To kill(2), 0 is one's own group and -1 everybody: 'kittiwake down' must never send a signal there.
    for (const text of [
      '',
      '0',
      '-1',
      '-0',
      '1e3',
      'garbage',
      '99999999999',
      `${process.pid}x`,
      '{}',
      '\0'.repeat(99),
    ]) {
      writeFileSync(pidFile(dataDir), text);
      assert.equal(holderOf(dataDir), undefined, JSON.stringify(text));
    }
    writeFileSync(pidFile(dataDir), `${process.pid}\n`);
    assert.equal(holderOf(dataDir)?.pid, process.pid);
  }));

test('a number that is another process by now is no holder', linuxOnly, () =>
  withFolder((dataDir) => {
    const { startedAt } = processOf(process.pid) ?? {};
    assert.match(startedAt ?? '', /^\d+$/);
    writeFileSync(pidFile(dataDir), `${process.pid} ${startedAt}\n`);
    assert.equal(holderOf(dataDir)?.pid, process.pid);
    writeFileSync(pidFile(dataDir), `${process.pid} ${Number(startedAt) - 1}\n`);
    assert.equal(holderOf(dataDir), undefined);
  }),
);

test('of a zombie nothing is left; what is stopped is still there', linuxOnly, () =>
  withFolder(async (dataDir) => {
    // The shell becomes a sleep, which never asks how its child ended; the child waits for that.
    const child = `sh -c 'until read -r name </proc/$PPID/comm && [ "$name" = sleep ]; do :; done'`;
    await withShell(`${child} & echo $!; exec sleep 60`, async (zombie) => {
      writeFileSync(pidFile(dataDir), zombie);
      while (processOf(Number(zombie))) await setTimeout(5);
      process.kill(Number(zombie), 0); // It is there for kill(2), but does not count.
      assert.equal(holderOf(dataDir), undefined);
    });
    await withShell('echo $$; exec sleep 60', async (pid, shell) => {
      writeFileSync(pidFile(dataDir), pid);
      shell.kill('SIGSTOP');
      while (!processOf(Number(pid))?.isStopped) await setTimeout(5);
      assert.deepEqual(holderOf(dataDir)?.isStopped, true);
    });
  }),
);

test('a lock that another program has is said so, whoever the pid file names', () =>
  withFolder((dataDir) => {
    checkNotHeld(dataDir);
    const other = new DatabaseSync(join(dataDir, 'run', 'lock.db'));
    other.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    try {
      for (const text of ['', '-1', '4194304 1']) {
        writeFileSync(pidFile(dataDir), text);
        const expected = { code: 'DATA_DIR_LOCKED', message: /but by no platform: .*run\/lock\.db open/ };
        assert.throws(() => openDataDir(dataDir), expected);
        assert.throws(() => checkNotHeld(dataDir), expected);
      }
    } finally {
      other.close();
    }
    openDataDir(dataDir).release();
  }));

test('what stands where a file of ours should is named, and never waited for', () =>
  withFolder((dataDir) => {
    rmSync(pidFile(dataDir), { force: true });
    execFileSync('mkfifo', [pidFile(dataDir)]);
    assert.throws(() => holderOf(dataDir), /run\/pid is no file: it was not written by kittiwake; remove it/);
    rmSync(pidFile(dataDir));
    mkdirSync(join(dataDir, 'version'));
    assert.throws(() => openDataDir(dataDir), /version is no file/);
    rmSync(join(dataDir, 'version'), { recursive: true });
    writeFileSync(join(dataDir, 'run', 'lock.db'), 'this is no database\n'.repeat(100));
    assert.throws(() => openDataDir(dataDir), /run\/lock\.db cannot be used: file is not a database/);
    rmSync(join(dataDir, 'run'), { recursive: true });
    writeFileSync(join(dataDir, 'run'), '');
    assert.throws(() => openDataDir(dataDir), /cannot be used: EEXIST/);
  }));

test('addresses count while the process that wrote them has the folder; garbage is named', () =>
  withFolder((dataDir) => {
    const url = 'http://127.0.0.1:1';
    const addresses: Addresses = {
      pid: process.pid,
      ...{ gatewayUrl: url, apiUrl: url, brokerUrl: url, registryUrl: url },
      kubeconfig: '/k',
      domain: 'localhost',
      metricsUrls: { control: url },
    };
    writeAddresses(dataDir, addresses);
    assert.equal(readAddresses(dataDir), undefined, 'nobody has the folder');
    const held = openDataDir(dataDir);
    assert.equal(readAddresses(dataDir), undefined, 'those of the process before are gone');
    writeAddresses(dataDir, addresses);
    assert.deepEqual(readAddresses(dataDir), addresses);
    const { metricsUrls: _, ...rest } = addresses;
    const garbage = ['', '{', 'null', '5', '[]', '{}', { ...rest, gatewayUrl: 5 }, { ...rest, apiUrl: 'x' }];
    for (const each of [...garbage, { ...rest, pid: '1' }, { ...rest, metricsUrls: { control: {} } }]) {
      writeFileSync(join(dataDir, 'run', 'addresses.json'), typeof each === 'string' ? each : JSON.stringify(each));
      const expected = /addresses\.json is damaged.*process \d+ listens: stop it with 'kittiwake down'/;
      assert.throws(() => readAddresses(dataDir), expected, JSON.stringify(each));
    }
    held.release();
    assert.equal(readAddresses(dataDir), undefined);
  }));
