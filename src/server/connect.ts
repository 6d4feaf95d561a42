import { existsSync, mkdirSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Client } from '../kube/client.ts';
import { httpClient } from '../kube/http/index.ts';
import type { Logger } from '../observe/log.ts';

/**
 * A client of the API server, as soon as there are credentials for it: on the very first start the control plane
 * writes the kubeconfig while the other roles start. The client itself copes with a server that is away.
 */
export async function connectToApi(kubeconfigPath: string, log: Logger): Promise<Client> {
  if (!existsSync(kubeconfigPath)) {
    log.info({ kubeconfigPath }, 'waiting for the kubeconfig');
    await appearance(kubeconfigPath);
  }
  return httpClient({ kubeconfigPath });
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
