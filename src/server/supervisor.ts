import { DeadMansSwitch } from '../lib/dead-mans-switch.ts';
import { urlOf } from '../observe/listen.ts';
import { type Addresses, removeAddresses, writeAddresses } from './addresses.ts';
import {
  type Config,
  checkBindAddress,
  checkDomain,
  checkKubeconfig,
  checkPlainHttpRegistries,
  type PortName,
  portDefinitions,
} from './config.ts';
import { inWords, openDataDir } from './data-dir.ts';
import { bindSocket, type LentSocket } from './lent-sockets.ts';
import { resolvePorts } from './ports.ts';
import { roles, rolesOf } from './roles.ts';
import { substrateOf } from './substrate.ts';
import { SupervisedRole, type SupervisorEvent } from './supervised-role.ts';

export type { SupervisorEvent } from './supervised-role.ts';

export interface Platform {
  addresses: Addresses;
  /** Milliseconds from the call until API server, gateway and broker answered. */
  readyMs: number;
  /** Stops all roles and the pods they run; resolves when no process is left. */
  stop(): Promise<void>;
}

/**
 * Runs the whole platform on one machine: each role a process of its own, restarted when it dies or hangs. The roles
 * stop by themselves when this process does (their IPC channel closes), or are killed when they cannot. Throws
 * BIND_ADDRESS_OPEN, PORT_IN_USE, DATA_DIR_IN_USE, DATA_DIR_TOO_NEW, DISK_FULL, or what a role says that cannot start.
 * When `signal` aborts before it is ready, stops what has been started and throws; afterwards it has no effect.
 */
export async function startPlatform(
  config: Config,
  onEvent: (event: SupervisorEvent) => void,
  signal?: AbortSignal,
): Promise<Platform> {
  const startedMs = performance.now();
  checkBindAddress(config);
  checkDomain(config);
  checkKubeconfig(config);
  checkPlainHttpRegistries(config);
  const dataDir = openDataDir(config.dataDir);
  const sockets: HeldSocket[] = [];
  const running: SupervisedRole[] = [];
  let deadMansSwitch: DeadMansSwitch | undefined;
  const onProcess = () => deadMansSwitch?.watch(running.flatMap((role) => role.pid ?? []));
  const stop = async () => {
    try {
      removeAddresses(config.dataDir);
      const ended = await Promise.all(running.map((role) => role.stop()));
      for (const { socket } of sockets) socket.close();
      if (ended.includes('killed')) await (await import('./embedded/left-pods.ts')).endLeftPods(config.dataDir);
      deadMansSwitch?.disarm();
    } finally {
      dataDir.release();
    }
  };
  try {
    const [ports, hasPodNetwork] = await Promise.all([
      resolvePorts(config.ports, config.bindAddress),
      substrateOf(config).hasPodNetwork(config),
    ]);
    signal?.throwIfAborted();
    const concrete = { ...config, ports, hasPodNetwork };
    holdSockets(concrete, sockets);
    deadMansSwitch = new DeadMansSwitch('server/role.ts');
    for (const role of rolesOf(concrete)) {
      const own = sockets.filter(({ name }) => roles[role].sockets.includes(name));
      running.push(new SupervisedRole({ role, config: concrete, sockets: own, onEvent, onProcess }));
    }
    onProcess();
    const ready = Promise.all([addressesOf(concrete), ...running.map((role) => role.firstReady)]);
    // Ctrl-C reaches all processes of the terminal: a role that it ends before it listens to signals has not failed.
    const [addresses] = await unlessAborted(ready, signal);
    writeAddresses(config.dataDir, addresses);
    return { addresses, readyMs: performance.now() - startedMs, stop };
  } catch (error) {
    await stop();
    throw inWords(config.dataDir, error);
  }
}

/** What `work` gives; rejects when `signal` aborts before that. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal?.reason);
  signal?.addEventListener('abort', onAbort);
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

interface HeldSocket {
  name: PortName;
  socket: LentSocket;
}

/** Adds to `held` one by one: those before one that cannot be had are there, to be closed. */
function holdSockets(config: Config, held: HeldSocket[]): void {
  const { ports, bindAddress } = config;
  for (const name of rolesOf(config).flatMap((role) => roles[role].sockets)) {
    const { role, flag } = portDefinitions[name];
    held.push({ name, socket: bindSocket(ports[name], role, flag, bindAddress) });
  }
}

async function addressesOf(config: Config): Promise<Addresses> {
  const { bindAddress, ports, domain } = config;
  const local = (port: number) => urlOf(port, bindAddress);
  return {
    pid: process.pid,
    gatewayUrl: local(ports.gateway),
    brokerUrl: local(ports.broker),
    registryUrl: local(ports.registry),
    ...(await substrateOf(config).addresses(config)),
    domain,
    metricsUrls: Object.fromEntries(rolesOf(config).map((role) => [role, `${local(ports[`${role}Metrics`])}/metrics`])),
  };
}
