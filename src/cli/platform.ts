import type { Client } from '../kube/client.ts';
import { httpClient, httpTransport, type Transport } from '../kube/http/index.ts';
import { type Addresses, readAddresses } from '../server/addresses.ts';

/** Options that every command understands. */
export interface CommonOptions {
  /** Absolute. */
  dataDir: string;
}

export interface RunningPlatform {
  addresses: Addresses;
  client: Client;
  /** For what the client does not offer: Tables, logs. */
  transport: Transport;
}

/** The platform that runs on the data folder. Throws, saying how to start it, when none does. */
export function runningPlatform({ dataDir }: CommonOptions): RunningPlatform {
  const addresses = readAddresses(dataDir);
  if (!addresses) throw new Error(`no platform runs on ${dataDir}: start it with 'kittiwake up'`);
  const { kubeconfig: kubeconfigPath } = addresses;
  const client = httpClient({ kubeconfigPath }, { fieldValidation: 'Strict' });
  return { addresses, client, transport: httpTransport({ kubeconfigPath }) };
}
