/** Seeds that found something once, and what; they are run first, always. */
export const keptSeeds: Record<string, readonly { seed: number; found: string }[]> = {
  broker: [],
  serving: [],
};
