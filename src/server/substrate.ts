import { join } from 'node:path';
import type { Configuration, Kind } from '../api/kind.ts';
import { platformKinds } from '../api/platform.ts';
import type { UserInfo } from '../api/user.ts';
import type { Feature, FeatureDeps } from '../feature/feature.ts';
import type { Client } from '../kube/client.ts';
import { followConfiguration } from '../kube/configuration.ts';
import { defaultingClient } from '../kube/defaulting-client.ts';
import { httpClient, inCluster } from '../kube/http/index.ts';
import { install } from '../kube/install.ts';
import type { Controller } from '../kube/reconciler.ts';
import type { Logger } from '../observe/log.ts';
import type { Config } from './config.ts';
import { connectToApi } from './connect.ts';
import type { RoleContext } from './role.ts';

/** The Kubernetes that features run on: all of it that they see are clients. */
export interface Substrate {
  /** For what is shared. */
  client: Client;
  /** A client that acts as `user`, where the substrate lets its clients choose. */
  clientFor(user: UserInfo): Client;
  /** What it lacks of a Kubernetes' own controllers: to be run with the features'. */
  controllers: readonly Controller[];
  /** What kinds are configured with: the ConfigMaps of the features, at this moment. */
  config(): Configuration;
  stop(): Promise<void>;
}

export interface SubstrateOptions extends RoleContext, Omit<FeatureDeps, 'client' | 'log' | 'quarantine'> {
  /** Whose kinds it is to serve, and whose admission to ask. */
  features: readonly Feature[];
}

interface SubstrateKind {
  /** For the control plane; resolves when the features' kinds are there. */
  open(options: SubstrateOptions): Promise<Substrate>;
  /** For a role beside it. */
  connect(config: Config, role: string, log: Logger): Promise<Client>;
}

/** Where the one machine and the cluster differ; nothing else asks which of them it is. */
const substrates = {
  /** A Kubernetes in the control plane's process, which leaves credentials for each role. */
  embedded: {
    open: async (options) => (await import('./embedded/substrate.ts')).open(options),
    connect: ({ dataDir }, role, log) => connectToApi(join(dataDir, 'pki', `${role}.kubeconfig`), log),
  },
  /** One that is there already. It does not ask our admission: defaults are filled in when objects are read. */
  cluster: {
    async open({ clock, config, features, log }) {
      const kinds = features.flatMap((feature) => feature.kinds);
      const client = connectToCluster(config, kinds);
      await install(client, kinds, namespacesOf(features));
      const { current, stop } = await followConfiguration(client, namespacesOf(features), { clock, log });
      return { client, clientFor: () => client, controllers: [], config: current, stop };
    },
    connect: (config) => Promise.resolve(connectToCluster(config)),
  },
} satisfies Record<string, SubstrateKind>;

export type SubstrateName = keyof typeof substrates;

export const substrateOf = ({ substrate }: Config): SubstrateKind => substrates[substrate];

/** Where the ConfigMaps of the features stand. */
export const namespacesOf = (features: readonly Feature[]): string[] =>
  features.flatMap((feature) => feature.config?.namespace ?? []);

function connectToCluster({ kubeconfig }: Config, kinds: readonly Kind[] = platformKinds): Client {
  const client = httpClient(kubeconfig === undefined ? () => inCluster() : { kubeconfigPath: kubeconfig });
  return defaultingClient(client, kinds);
}
