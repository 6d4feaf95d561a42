import type { DriverKind } from '../driver.ts';
import { processDriver } from './process/index.ts';
import { missingIsolation } from './process/isolation.ts';

const drivers = {
  process: { open: processDriver, missingIsolation },
} satisfies Record<string, DriverKind>;

/** The driver of this machine: nothing else knows which there are. */
export const chooseDriver = (): DriverKind => drivers.process;
