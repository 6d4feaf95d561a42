import { join } from 'node:path';
import type { Configuration } from '../api/kind.ts';
import type { UserInfo } from '../api/user.ts';
import type { Feature, FeatureDeps } from '../feature/feature.ts';
import type { Client } from '../kube/client.ts';
import type { Controller } from '../kube/reconciler.ts';
import { urlOf } from '../observe/listen.ts';
import type { Logger } from '../observe/log.ts';
import type { Addresses } from './addresses.ts';
import type { Config, SubstrateName } from './config.ts';
import type { RoleContext } from './roles.ts';

export interface Clients {
  /** For what is shared. */
  client: Client;
  /** A client that acts as `user`, where the substrate lets its clients choose. */
  clientFor(user: UserInfo): Client;
}

/** The Kubernetes that features run on: all of it that they see are clients. */
export interface Substrate {
  clientFor: Clients['clientFor'];
  /** What it lacks of a Kubernetes' own controllers: to be run with the features'. */
  controllers: readonly Controller[];
  /** What kinds are configured with: the ConfigMaps of the features, at this moment. */
  config(): Configuration;
  /**
   * Starts what may run once only, as soon and as long as nobody else does: with clients that write only then. Where
   * others compete for it, it resolves before it is our turn, and the process ends with its term.
   */
  lead(start: (clients: Clients) => Promise<{ stop(): Promise<void> }>): Promise<{ stop(): Promise<void> }>;
  stop(): Promise<void>;
}

export interface SubstrateOptions extends RoleContext, Omit<FeatureDeps, 'client' | 'log' | 'quarantine'> {
  /** Whose kinds it is to serve, and whose admission to ask. */
  features: readonly Feature[];
}

/** The platform as what runs on it finds it. */
export interface Inside {
  /** Of the broker's ingress. */
  brokerUrl: string;
  /** Which clients of the gateway run on it; all, or it cannot be told, unless given. */
  isInside?(address: string): boolean;
}

interface SubstrateKind {
  /** For the control plane; resolves when the features' kinds are there. */
  open(options: SubstrateOptions): Promise<Substrate>;
  /** For a role beside it. */
  connect(config: Config, role: string, log: Logger): Promise<Client>;
  /** Whether pods can have a network of their own, which is then a role's. */
  hasPodNetwork(config: Config): Promise<boolean>;
  /** In words, with what is missing for a better way; undefined where that is not ours to say. */
  howPodsRun(): Promise<{ summary: string; lack: { what: string; remedy: string } | undefined } | undefined>;
  inside(config: Config, log: Logger): Promise<Inside>;
  /** Where people reach its API, and with what. */
  addresses(config: Config): Promise<Pick<Addresses, 'apiUrl' | 'kubeconfig'>>;
}

/** Where the one machine and the cluster differ, and nothing else asks. Each is loaded only where it is used. */
const substrates: Record<SubstrateName, SubstrateKind> = {
  /** A Kubernetes in the control plane's process, which leaves credentials for each role. */
  embedded: {
    open: async (options) => (await import('./embedded/substrate.ts')).open(options),
    connect: async (config, role, log) => (await import('./connect.ts')).connectToApi(config, role, log),
    hasPodNetwork: async () => (await import('./embedded/pod-network.ts')).canHavePodNetwork(),
    howPodsRun: async () => (await import('./embedded/how-pods-run.ts')).howPodsRun(),
    inside: async (config, log) => (await import('./embedded/inside.ts')).inside(config, log),
    addresses: async ({ bindAddress, dataDir, ports }) => ({
      apiUrl: urlOf(ports.api, bindAddress, 'https'),
      kubeconfig: join(dataDir, 'kubeconfig'),
    }),
  },
  /** One that is there already. */
  cluster: {
    open: async (options) => (await import('./cluster/substrate.ts')).open(options),
    connect: async (config) => (await import('./cluster/substrate.ts')).connect(config),
    hasPodNetwork: async () => false, // The cluster's own.
    howPodsRun: async () => undefined,
    inside: async ({ bindAddress, ports }) => ({ brokerUrl: urlOf(ports.broker, bindAddress) }),
    addresses: async (config) => (await import('./cluster/substrate.ts')).addresses(config),
  },
};

export const substrateOf = ({ substrate }: Config): SubstrateKind => substrates[substrate];

/** Where the ConfigMaps of the features stand. */
export const namespacesOf = (features: readonly Feature[]): string[] =>
  features.flatMap((feature) => feature.config?.namespace ?? []);
