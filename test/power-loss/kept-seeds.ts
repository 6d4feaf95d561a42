/**
 * By component, seeds that lost something once: always run again. A seed decides the choices of the workload and the
 * moments of power loss; how threads take turns is decided anew each time.
 */
export const keptSeeds: Record<string, readonly number[]> = {
  // The folders of store and log were not synced into theirs.
  store: [286297859, 1298330333], // The second: a process that was killed; its successor showed what was not on disk.
  broker: [2139024432],
  // A push was acknowledged before another's sync of the folders that both needed.
  registry: [2035315872],
  // A layer that was being removed came back with its mark and without its files.
  node: [1018792633],
  // A version file of zeros.
  'data folder': [52800273],
};
