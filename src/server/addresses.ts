import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeJsonFile } from '../lib/json-file.ts';
import { holderOf } from './holder.ts';
import { readOwnFile } from './own-file.ts';

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
  writeJsonFile(fileOf(dataDir), addresses, { mustLast: false });
}

export function removeAddresses(dataDir: string): void {
  rmSync(fileOf(dataDir), { force: true, recursive: true });
}

/**
 * The addresses of the platform that runs on `dataDir`, or undefined when none does, be it that the file was left by
 * one that was killed. Throws when one runs, but the file is not what it wrote.
 */
export function readAddresses(dataDir: string): Addresses | undefined {
  const file = fileOf(dataDir);
  const text = readOwnFile(file);
  const holder = holderOf(dataDir);
  if (text === undefined || !holder) return undefined;
  const addresses = addressesIn(text);
  if (!addresses) {
    const remedy = "stop it with 'kittiwake down' and start it again";
    throw new Error(
      `${file} is damaged, so nobody knows where the platform of process ${holder.pid} listens: ${remedy}`,
    );
  }
  return addresses.pid === holder.pid ? addresses : undefined;
}

function addressesIn(text: string): Addresses | undefined {
  try {
    const { metricsUrls = {}, ...found }: Partial<Addresses> = JSON.parse(text);
    const urls = [found.gatewayUrl, found.apiUrl, found.brokerUrl, found.registryUrl, ...Object.values(metricsUrls)];
    const isWhole = typeof found.pid === 'number' && isText(found.kubeconfig) && isText(found.domain);
    return isWhole && urls.every((url) => isText(url) && URL.canParse(url))
      ? ({ ...found, metricsUrls } as Addresses)
      : undefined;
  } catch {
    return undefined; // Not JSON, or not an object.
  }
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
