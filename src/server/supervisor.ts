import { DeadMansSwitch } from '../lib/dead-mans-switch.ts';
import { urlOf } from '../observe/listen.ts';
import { type Addresses, removeAddresses, writeAddresses } from './addresses.ts';
import { type Config, checkBindAddress, checkDomain, type PortName, portDefinitions } from './config.ts';
import { inWords, openDataDir } from './data-dir.ts';
import { bindSocket, type LentSocket } from './lent-sockets.ts';
import { resolvePorts } from './ports.ts';
import { roleNames, roles } from './roles.ts';
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
  const dataDir = openDataDir(config.dataDir);
  try {
    const ports = await resolvePorts(config.ports, config.bindAddress);
    signal?.throwIfAborted();
    const concrete = { ...config, ports };
    const sockets = holdSockets(concrete);
    const deadMansSwitch = new DeadMansSwitch('server/role.ts');
    const onProcess = () => deadMansSwitch.watch(running.flatMap((role) => role.pid ?? []));
    const running: SupervisedRole[] = [];
    for (const role of roleNames) {
      const own = sockets.filter(({ name }) => roles[role].sockets.includes(name));
      running.push(new SupervisedRole({ role, config: concrete, sockets: own, onEvent, onProcess }));
    }
    onProcess();
    const stopRoles = async () => {
      removeAddresses(config.dataDir);
      const ended = await Promise.all(running.map((role) => role.stop()));
      for (const { socket } of sockets) socket.close();
      if (ended.includes('killed')) await (await import('./embedded/left-pods.ts')).endLeftPods(config.dataDir);
      deadMansSwitch.disarm();
    };
    try {
      const addresses = await addressesOf(concrete);
      // Ctrl-C reaches all processes of the terminal: a role that it ends before it listens to signals has not failed.
      await Promise.race([Promise.all(running.map((role) => role.firstReady)), abortOf(signal)]);
      writeAddresses(config.dataDir, addresses);
      const stop = () => stopRoles().finally(() => dataDir.release());
      return { addresses, readyMs: performance.now() - startedMs, stop };
    } catch (error) {
      await stopRoles();
      throw error;
    }
  } catch (error) {
    dataDir.release();
    throw inWords(config.dataDir, error);
  }
}

/** Rejects when `signal` aborts. */
function abortOf(signal?: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

function holdSockets({ ports, bindAddress }: Config): { name: PortName; socket: LentSocket }[] {
  return roleNames
    .flatMap((role) => roles[role].sockets)
    .map((name) => {
      const { role, flag } = portDefinitions[name];
      return { name, socket: bindSocket(ports[name], role, flag, bindAddress) };
    });
}

async function addressesOf(config: Config): Promise<Addresses> {
  const { bindAddress, ports, domain } = config;
  const { substrateOf } = await import('./substrate.ts'); // Only now: the roles are starting meanwhile.
  const local = (port: number) => urlOf(port, bindAddress);
  return {
    pid: process.pid,
    gatewayUrl: local(ports.gateway),
    brokerUrl: local(ports.broker),
    registryUrl: local(ports.registry),
    ...(await substrateOf(config).addresses(config)),
    domain,
    metricsUrls: Object.fromEntries(roleNames.map((role) => [role, `${local(ports[`${role}Metrics`])}/metrics`])),
  };
}
