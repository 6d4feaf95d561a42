import { readFileSync } from 'node:fs';
import { replaceFileAsync } from '../../lib/durable.ts';
import type { BrokerConfig, TriggerConfig } from './config.ts';

/** The brokers and triggers that the broker's process serves. */
export interface Known {
  brokers: BrokerConfig[];
  triggers: TriggerConfig[];
}

const format = 1;

/** What was last known, so that a start without an API server serves all the same; undefined when there is nothing. */
export function readKnown(path: string): Known | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const stored = JSON.parse(text) as Known & { format: number };
  // Another version's file is no loss: the API server tells everything again.
  if (stored?.format !== format) return undefined;
  const isConfig = (config: BrokerConfig) =>
    [config?.namespace, config?.name, config?.uid].every((value) => typeof value === 'string');
  return { brokers: stored.brokers.filter(isConfig), triggers: stored.triggers.filter(isConfig) };
}

export async function writeKnown(path: string, known: Known): Promise<void> {
  await replaceFileAsync(path, JSON.stringify({ format, ...known }));
}
