import type { Cache, Controller } from '../kube/reconciler.ts';
import { runControllers } from '../kube/runner.ts';
import type { Feature, FeatureDeps } from './feature.ts';

export interface RunningFeatures {
  cache: Cache;
  stop(): Promise<void>;
}

/**
 * Starts the features, and `others` with them, against whatever Kubernetes `deps.client` leads to. That it serves their
 * kinds, and asks their admission, is the substrate's doing.
 */
export async function startFeatures(
  features: readonly Feature[],
  deps: FeatureDeps,
  others: readonly Controller[] = [],
): Promise<RunningFeatures> {
  const own = features.flatMap((feature) => feature.controllers(deps));
  const controllers = await runControllers([...others, ...own], deps);
  const { cache } = controllers;
  const beside = await Promise.all(features.map((feature) => feature.beside?.({ ...deps, cache })));
  return {
    cache,
    async stop() {
      await Promise.all([...beside.map((running) => running?.stop()), controllers.stop()]);
    },
  };
}
