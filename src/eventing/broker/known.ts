import { readFileSync } from 'node:fs';
import { replaceFileAsync } from '../../lib/durable.ts';
import type { Absence } from './absences.ts';
import type { BrokerConfig, TriggerConfig } from './config.ts';

/** The brokers and triggers that the broker's process serves. */
export interface Known {
  brokers: BrokerConfig[];
  triggers: TriggerConfig[];
  /** Of the API server that told so. */
  platform?: string | undefined;
  /** What is kept for others; to lose that only means to wait longer. */
  absent?: readonly Absence[];
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
  const { brokers, triggers, platform, absent } = stored;
  return {
    brokers: brokers.filter(isConfig),
    triggers: triggers.filter(isConfig),
    ...(typeof platform === 'string' && { platform }),
    absent: Array.isArray(absent) ? absent.filter(isAbsence) : [],
  };
}

const isAbsence = (absence: Absence) =>
  typeof absence?.name === 'string' && typeof absence.owner === 'string' && Number.isSafeInteger(absence.looks);

export async function writeKnown(path: string, known: Known): Promise<void> {
  await replaceFileAsync(path, JSON.stringify({ format, ...known }));
}
