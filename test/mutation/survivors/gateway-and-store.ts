import type { Survivor } from './survivor.ts';

/** The parser, the breaker and the store; by file. */
export const gatewayAndStore: readonly Survivor[] = [];
