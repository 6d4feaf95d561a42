import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where a running platform listens: `run/addresses.json` in the data folder, there exactly while it is ready. */
export interface Addresses {
  pid: number;
  gatewayUrl: string;
  apiUrl: string;
  brokerUrl: string;
  registryUrl: string;
  kubeconfig: string;
  domain: string;
  /** By role. */
  metricsUrls: Record<string, string>;
}

const fileOf = (dataDir: string) => join(dataDir, 'run', 'addresses.json');

export function writeAddresses(dataDir: string, addresses: Addresses): void {
  const file = fileOf(dataDir);
  writeFileSync(`${file}.tmp`, JSON.stringify(addresses, undefined, 2));
  renameSync(`${file}.tmp`, file);
}

export function removeAddresses(dataDir: string): void {
  rmSync(fileOf(dataDir), { force: true });
}

/** The addresses of the platform that runs on `dataDir`, or undefined when none does. */
export function readAddresses(dataDir: string): Addresses | undefined {
  try {
    const addresses: Addresses = JSON.parse(readFileSync(fileOf(dataDir), 'utf8'));
    process.kill(addresses.pid, 0);
    return addresses;
  } catch {
    return undefined; // No file, or one left by a process that was killed: nothing runs.
  }
}
