import { gatewayAndStore } from './gateway-and-store.ts';
import { servingAndEventing } from './serving-and-eventing.ts';
import type { Survivor } from './survivor.ts';

/** Mutants that no test can notice, each with the reason. */
export const survivors: readonly Survivor[] = [...servingAndEventing, ...gatewayAndStore];
