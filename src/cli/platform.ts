import type { Client } from '../kube/client.ts';
import { httpClient } from '../kube/http/index.ts';
import { type Addresses, readAddresses } from '../server/addresses.ts';

/** Options that every command understands. */
export interface CommonOptions {
  /** Absolute. */
  dataDir: string;
}

export interface RunningPlatform {
  addresses: Addresses;
  client: Client;
}

/** The platform that runs on the data folder. Throws, saying how to start it, when none does. */
export function runningPlatform({ dataDir }: CommonOptions): RunningPlatform {
  const addresses = readAddresses(dataDir);
  if (!addresses) throw new Error(`no platform runs on ${dataDir}: start it with 'kittiwake up'`);
  return { addresses, client: httpClient({ kubeconfigPath: addresses.kubeconfig }) };
}
