import { existsSync, mkdirSync, watch } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Client } from '../kube/client.ts';
import { readKubeconfig } from '../kube/http/connection.ts';
import { httpClient } from '../kube/http/index.ts';
import { urlOf } from '../observe/listen.ts';
import type { Logger } from '../observe/log.ts';
import type { Config } from './config.ts';

/**
 * A client of this platform's API server, as soon as there are credentials of `role` for it: on the very first start
 * the control plane writes them while the other roles start. Where the server is they do not say: until it has started,
 * they are those of the last start, and in a folder that was copied they name the server of the original. The client
 * itself copes with a server that is away, and with credentials that are replaced.
 */
export async function connectToApi(
  { bindAddress, dataDir, ports }: Pick<Config, 'bindAddress' | 'dataDir' | 'ports'>,
  role: string,
  log: Logger,
): Promise<Client> {
  const kubeconfigPath = join(dataDir, 'pki', `${role}.kubeconfig`);
  if (!existsSync(kubeconfigPath)) {
    log.info({ kubeconfigPath }, 'waiting for the kubeconfig');
    await appearance(kubeconfigPath);
  }
  const server = urlOf(ports.api, bindAddress, 'https');
  return httpClient(async () => ({ ...(await readKubeconfig(kubeconfigPath)), server }));
}

function appearance(file: string): Promise<void> {
  mkdirSync(dirname(file), { recursive: true });
  return new Promise((resolve, reject) => {
    const watcher = watch(dirname(file), (_event, name) => {
      if (name === basename(file)) check();
    });
    const check = () => {
      if (!existsSync(file)) return;
      watcher.close();
      resolve();
    };
    watcher.once('error', reject);
    check();
  });
}
