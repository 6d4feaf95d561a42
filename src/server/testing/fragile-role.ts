/**
 * A role for tests of its supervisor: it does the work in the file `todo` of the data folder, a name a line, and writes
 * what it did into `done`. Work whose name begins with `crash`, `hang`, `exit` or `abort` ends it in that way.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { Quarantine } from '../../lib/quarantine.ts';
import type { RoleName } from '../roles.ts';
import { type Inheritance, type RoleStart, type ToRole, workBoardFile } from '../supervision.ts';
import { FileWorkBoard } from '../work-board.ts';

const role = process.argv[2] as RoleName;
const { config }: RoleStart = JSON.parse(process.env.KITTIWAKE_ROLE ?? '');
const { dataDir } = config;
const board = new FileWorkBoard(workBoardFile(dataDir, role));
let quarantine = new Quarantine();
const say = (line: string) => appendFileSync(join(dataDir, 'done'), `${line}\n`);

process.on('uncaughtExceptionMonitor', (error) => writeFileSync(join(dataDir, 'run', `${role}.crash`), error.message));
process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
process.on('message', (message: ToRole, handle) => {
  if (message.type === 'quarantine') quarantine.update(message.setAside);
  if (message.type === 'socket') createServer((_request, response) => response.end(String(process.pid))).listen(handle);
  if (message.type === 'start') start(message);
});

function start({ setAside, suspects }: Inheritance): void {
  quarantine = new Quarantine({ setAside, suspects, board });
  quarantine.onRelease((name) => say(`released ${name}`));
  say('start');
  setInterval(() => process.send?.({ type: 'beat' }), 20);
  process.send?.({ type: 'ready' });
  for (const name of readFileSync(join(dataDir, 'todo'), 'utf8').split('\n').filter(Boolean)) {
    quarantine
      .run(name, () => work(name))
      .then(
        () => say(`did ${name}`),
        (error) => say(`left ${name}: ${error.name}`),
      );
  }
}

async function work(name: string): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 20));
  if (name.startsWith('crash')) setTimeout(() => Promise.reject(new Error(`${name} went wrong`)), 0);
  if (name.startsWith('exit')) process.exit(3);
  if (name.startsWith('abort')) process.abort();
  if (name.startsWith('hang')) for (;;) await null; // The loop never turns: only microtasks.
  await new Promise((resolve) => setTimeout(resolve, 20));
}
