/** The main module of a role's process: `role.ts control|gateway|broker`, forked by the supervisor. */
import { writeFileSync } from 'node:fs';
import { Quarantine } from '../lib/quarantine.ts';
import type { ListenHandle } from '../observe/listen.ts';
import { createLogger } from '../observe/log.ts';
import { setAside as writeSetAside } from './quarantine-files.ts';
import { type RoleContext, type RoleName, roles } from './roles.ts';
import {
  beatMs,
  crashFile,
  type FromRole,
  type Inheritance,
  type RoleStart,
  type ToRole,
  workBoardFile,
} from './supervision.ts';
import { FileWorkBoard } from './work-board.ts';

/** In the log. */
const namesShown = 50;
const name = process.argv[2] as RoleName;
const start: RoleStart = JSON.parse(process.env.KITTIWAKE_ROLE ?? '{}');
delete process.env.KITTIWAKE_ROLE;
const { config } = start;
const log = createLogger(name, config.logLevel);
const board = new FileWorkBoard(workBoardFile(config.dataDir, name));

const sockets: RoleContext['sockets'] = {};
const begun = Promise.withResolvers<Quarantine>();
let quarantine: Quarantine | undefined;
process.on('message', (message: ToRole, handle) => {
  if (message.type === 'socket') sockets[message.port] = handle as ListenHandle;
  else if (message.type === 'start') begun.resolve(inherit(message));
  else quarantine?.update(message.setAside);
});
// The loop turns: whoever does not say so for a while is ended and started again.
setInterval(() => tellParent({ type: 'beat' }), beatMs).unref();
process.on('uncaughtExceptionMonitor', (error: unknown) => {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  try {
    writeFileSync(crashFile(config.dataDir, name), text, { mode: 0o600 });
  } catch {
    // The disk is full, say: an error here would hide the one that ends the process, which Node prints.
  }
});

let isReady = false;
let isStopping = false;
const starting = Promise.all([roles[name].load(), begun.promise]).then(([assembly, quarantine]) =>
  assembly.start({ config, log, quarantine, sockets, end }),
);

starting.then(
  () => {
    isReady = true;
    tellParent({ type: 'ready' });
  },
  (error) => {
    log.error({ err: error }, 'the role cannot start');
    end(error.message);
  },
);

function end(why: string): void {
  if (isReady) log.error({ why }, 'the role ends');
  tellParent({ type: 'failed', message: why });
  process.exit(1);
}

process.on('SIGINT', () => {}); // Ctrl-C reaches the whole foreground group; the supervisor says when to stop.
process.on('SIGTERM', stop);
process.on('disconnect', stop); // The supervisor is gone: so are we, or a second one could not take over.

async function stop() {
  if (isStopping) return;
  isStopping = true;
  log.info({}, 'stopping');
  // A data path that is not ready has served nobody: it waits for an API server that may never come.
  if (!isReady && name !== 'control') process.exit(0);
  try {
    await (await starting).stop();
    process.exit(0);
  } catch (error) {
    log.error({ err: error }, 'stopping failed');
    process.exit(1);
  }
}

function inherit({ setAside, suspects, isCareful }: Inheritance): Quarantine {
  const some = (names: string[]) => ({ count: names.length, names: names.slice(0, namesShown) });
  if (suspects.length > 0) log.warn(some(suspects), 'what was under way at the last end runs alone');
  if (setAside.length > 0) log.warn(some(setAside), 'set aside: it ended this role twice');
  const keepBooks = (work: string, reason: string) => {
    writeSetAside(config.dataDir, { role: name, name: work, reason, times: 2, since: new Date().toISOString() });
    tellParent({ type: 'set aside', name: work });
  };
  quarantine = new Quarantine({ setAside, suspects, isCareful, board, keepBooks });
  return quarantine;
}

function tellParent(message: FromRole): void {
  if (process.connected) process.send?.(message);
}
