/** A Kubernetes that is there already, which several control planes may share: one of them leads. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Kind } from '../../api/kind.ts';
import { platformKinds } from '../../api/platform.ts';
import type { Client } from '../../kube/client.ts';
import { followConfiguration } from '../../kube/configuration.ts';
import { defaultingClient } from '../../kube/defaulting-client.ts';
import { readKubeconfig } from '../../kube/http/connection.ts';
import { httpClient, inCluster } from '../../kube/http/index.ts';
import { install } from '../../kube/install.ts';
import { electLeader } from '../../kube/leader-election.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Config } from '../config.ts';
import { namespacesOf, type Substrate, type SubstrateOptions } from '../substrate.ts';

const lease = { namespace: 'kittiwake-system', name: 'control' };

export function connect({ kubeconfig }: Config, kinds: readonly Kind[] = platformKinds): Client {
  return defaultingClient(
    httpClient(() => connectionOf(kubeconfig)),
    kinds,
  );
}

const connectionOf = (kubeconfig: string | undefined) =>
  kubeconfig === undefined ? inCluster() : readKubeconfig(kubeconfig);

export const addresses = async ({ kubeconfig }: Config) => ({
  apiUrl: (await connectionOf(kubeconfig)).server,
  kubeconfig: kubeconfig ?? 'that of the pod’s account',
});

/**
 * It does not ask our admission: defaults are filled in when objects are read. All clients act as whom the kubeconfig
 * names, or the pod's account.
 */
export async function open({ clock, config, end, features, log }: SubstrateOptions): Promise<Substrate> {
  const kinds = features.flatMap((feature) => feature.kinds);
  const client = connect(config, kinds);
  const namespaces = namespacesOf(features);
  await install(client, kinds, [lease.namespace, ...namespaces]);
  const { current, stop } = await followConfiguration(client, namespaces, { clock, log });
  return {
    clientFor: () => client,
    controllers: [],
    config: current,
    async lead(start) {
      let isStopping = false;
      const election = electLeader({
        client,
        clock,
        log,
        lease,
        identity: `${hostname()}_${randomUUID()}`,
        async lead(fenced) {
          const failed = (error: unknown) => {
            if (!isStopping) end(messageOf(error));
            throw error;
          };
          const running = await start({ client: fenced, clientFor: () => fenced }).catch(failed);
          return {
            async stop() {
              // What ran under the term may be half done, and what it has in memory is of then: a new process begins.
              if (!isStopping) end(`the Lease ${lease.namespace}/${lease.name} is not ours any more`);
              await running.stop();
            },
          };
        },
      });
      return {
        stop() {
          isStopping = true;
          return election.stop();
        },
      };
    },
    stop,
  };
}
