import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { listSetAside } from './quarantine-files.ts';
import { listRestarts, type Restart, recordRestart } from './restarts.ts';

test('what is remembered of bad days is what it should be, whatever has become of its files', (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'kittiwake-damaged-'));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  const folder = join(dataDir, 'quarantine', 'broker');
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(dataDir, 'run'));
  const damaged = { role: 'broker', name: 'broker a/b', reason: { a: 1 }, times: 'many', since: 5, more: 1 };
  const entries = [null, 'x', [], { role: 'broker' }, damaged];
  for (const [i, entry] of entries.entries()) writeFileSync(join(folder, `${i}.json`), JSON.stringify(entry));
  writeFileSync(join(folder, 'half.json'), '{"role":"broker","name":"bro');
  assert.deepEqual(listSetAside(dataDir), [
    { role: 'broker', name: 'broker a/b', reason: '[object Object]', times: 2, since: '5' },
  ]);

  const restart: Restart = { role: 'broker', at: '2026-11-26T12:00:00Z', why: 'signal SIGKILL', underWay: ['a'] };
  const others = [null, 7, {}, { ...restart, why: undefined }, { ...restart, underWay: [1] }, { ...restart, at: 5 }];
  writeFileSync(join(dataDir, 'run', 'restarts.json'), JSON.stringify([restart, ...others]));
  recordRestart(dataDir, restart);
  assert.deepEqual(listRestarts(dataDir), [restart, restart]);
});
