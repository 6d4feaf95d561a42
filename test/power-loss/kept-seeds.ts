/** By component, seeds that lost something once: they are always run again. */
export const keptSeeds: Record<string, number[]> = {};
