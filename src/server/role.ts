/** The main module of a role's process: `role.ts control|gateway|broker`, forked by the supervisor. */
import { createLogger } from '../observe/log.ts';

export type RoleName = 'control' | 'gateway' | 'broker';
export type RoleMessage = { type: 'ready' } | { type: 'failed'; message: string };

/** What a role's assembly gives back: how to end it within 1.5 s. */
export interface Role {
  stop(): Promise<void>;
}

const name = process.argv[2] as RoleName;
const config = JSON.parse(process.env.KITTIWAKE_CONFIG ?? '{}');
delete process.env.KITTIWAKE_CONFIG;
const log = createLogger(name, config.logLevel);

const assemblies: Record<RoleName, () => Promise<{ start: typeof import('./control.ts').start }>> = {
  control: () => import('./control.ts'),
  gateway: () => import('./gateway.ts'),
  broker: () => import('./broker.ts'),
};

let isReady = false;
let isStopping = false;
const starting = assemblies[name]().then((assembly) => assembly.start(config, log));

starting.then(
  () => {
    isReady = true;
    tellParent({ type: 'ready' });
  },
  (error) => {
    log.error({ err: error }, 'the role cannot start');
    tellParent({ type: 'failed', message: error.message });
    process.exit(1);
  },
);

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

function tellParent(message: RoleMessage): void {
  if (process.connected) process.send?.(message);
}
