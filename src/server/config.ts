import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { dnsSubdomainRule, isDnsSubdomain } from '../api/names.ts';
import { loopback } from '../observe/listen.ts';
import { isRegistryHost } from '../registry/reference.ts';
import { configErrors } from './errors.ts';

/** The platform's listeners. 0 is any free port, chosen at start and kept while it runs. */
export interface Ports {
  gateway: number;
  broker: number;
  registry: number;
  api: number;
  controlMetrics: number;
  gatewayMetrics: number;
  brokerMetrics: number;
  networkMetrics: number;
}

export type PortName = keyof Ports;

/** The Kubernetes that features run on: one of our own on this machine, or one that is there already (substrate.ts). */
export type SubstrateName = 'embedded' | 'cluster';

/** Each port with its default, its flag and the role that listens there. */
export const portDefinitions: Record<PortName, { port: number; flag: string; role: string }> = {
  gateway: { port: 8080, flag: '--gateway-port', role: 'gateway' },
  broker: { port: 8081, flag: '--broker-port', role: 'broker' },
  registry: { port: 8082, flag: '--registry-port', role: 'registry' },
  api: { port: 7443, flag: '--api-port', role: 'API server' },
  controlMetrics: { port: 8090, flag: '--control-metrics-port', role: 'metrics of the control plane' },
  gatewayMetrics: { port: 8091, flag: '--gateway-metrics-port', role: 'metrics of the gateway' },
  brokerMetrics: { port: 8092, flag: '--broker-metrics-port', role: 'metrics of the broker' },
  networkMetrics: { port: 8093, flag: '--network-metrics-port', role: 'metrics of the network role' },
};

export interface Config {
  /** Absolute. */
  dataDir: string;
  /** Services get the host `NAME.NAMESPACE.<domain>`; `localhost` needs no DNS. */
  domain: string;
  /** Of every listener; an IP address. */
  bindAddress: string;
  /** Whether it may be another than loopback, though gateway, broker, registry and metrics ask nobody who they are. */
  isOpen: boolean;
  ports: Ports;
  substrate: SubstrateName;
  /** Of the cluster, where that is the substrate; the one that this process runs in unless given. */
  kubeconfig?: string;
  /** Hosts, with their ports, of registries that are asked without TLS; those of this machine always are. */
  plainHttpRegistries?: readonly string[];
  /** Whether pods can have a network of their own here; found out when the platform starts. */
  hasPodNetwork?: boolean;
  logLevel: 'debug' | 'info' | 'warn' | 'error';
}

export function defaultConfig(): Config {
  const ports = portsBy((name) => portDefinitions[name].port);
  return {
    dataDir: defaultDataDir(),
    domain: 'localhost',
    bindAddress: loopback,
    isOpen: false,
    ports,
    substrate: 'embedded',
    logLevel: 'info',
  };
}

/** Throws that it is none: no Service would get a host, and no part of one may be longer than DNS has it. */
export function checkDomain({ domain }: Pick<Config, 'domain'>): void {
  if (isDnsSubdomain(domain)) return;
  throw new Error(`--domain is ${JSON.stringify(domain)}: ${dnsSubdomainRule}`);
}

/** Throws that one is none. */
export function checkPlainHttpRegistries({ plainHttpRegistries = [] }: Pick<Config, 'plainHttpRegistries'>): void {
  for (const host of plainHttpRegistries) {
    if (!isRegistryHost(host)) {
      throw new Error(`--plain-http-registry is ${JSON.stringify(host)}: HOST or HOST:PORT, as image names begin`);
    }
  }
}

/** Throws that there is none. */
export function checkKubeconfig({ kubeconfig }: Pick<Config, 'kubeconfig'>): void {
  if (kubeconfig !== undefined && !existsSync(kubeconfig))
    throw new Error(`--kubeconfig: there is no file ${kubeconfig}`);
}

/** Throws BIND_ADDRESS_OPEN, or that it is none. */
export function checkBindAddress({ bindAddress, isOpen }: Pick<Config, 'bindAddress' | 'isOpen'>): void {
  if (isIP(bindAddress) === 0) {
    throw new Error(`--bind-address is ${JSON.stringify(bindAddress)}: an IP address such as ${loopback} or 0.0.0.0`);
  }
  if (!isLoopback(bindAddress) && !isOpen) throw configErrors.BIND_ADDRESS_OPEN({ bindAddress });
}

/** Whether nobody but this machine reaches it. */
export const isLoopback = (bindAddress: string): boolean => bindAddress === '::1' || /^127\.[\d.]+$/.test(bindAddress);

/** Each port as `portOf` says. */
export function portsBy(portOf: (name: PortName) => number): Ports {
  return {
    gateway: portOf('gateway'),
    broker: portOf('broker'),
    registry: portOf('registry'),
    api: portOf('api'),
    controlMetrics: portOf('controlMetrics'),
    gatewayMetrics: portOf('gatewayMetrics'),
    brokerMetrics: portOf('brokerMetrics'),
    networkMetrics: portOf('networkMetrics'),
  };
}

/** `$XDG_DATA_HOME/kittiwake`, or `~/.local/share/kittiwake` (XDG Base Directory Specification). */
export function defaultDataDir(): string {
  const dataHome = process.env.XDG_DATA_HOME;
  return resolve(
    dataHome !== undefined && dataHome !== '' ? dataHome : join(homedir(), '.local', 'share'),
    'kittiwake',
  );
}
