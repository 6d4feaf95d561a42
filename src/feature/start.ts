import type { Configuration } from '../api/kind.ts';
import type { UserInfo } from '../api/user.ts';
import type { Client } from '../kube/client.ts';
import type { Cache, Controller } from '../kube/reconciler.ts';
import { runControllers } from '../kube/runner.ts';
import type { Feature, FeatureDeps } from './feature.ts';

export interface SharedDeps extends FeatureDeps {
  /** What features share: the watches. */
  client: Client;
  clientFor(user: UserInfo): Client;
  /** What kinds are configured with, at this moment; nothing unless given. */
  config?: () => Configuration;
}

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
  deps: SharedDeps,
  others: readonly Controller[] = [],
): Promise<RunningFeatures> {
  const depsOf = ({ user }: Feature) => ({ ...deps, client: deps.clientFor(user) });
  const own = features.flatMap((feature) => {
    const { user } = feature;
    return feature.controllers(depsOf(feature)).map((controller) => ({ user, ...controller }));
  });
  const controllers = await runControllers([...others, ...own], deps);
  const { cache } = controllers;
  const beside = await Promise.all(features.map((feature) => feature.beside?.({ ...depsOf(feature), cache })));
  return {
    cache,
    async stop() {
      await Promise.all([...beside.map((running) => running?.stop()), controllers.stop()]);
    },
  };
}
