import { buildKinds } from '../api/platform.ts';
import { serviceAccount } from '../api/user.ts';
import type { Feature } from '../feature/feature.ts';
import { buildControllers } from './controller.ts';

/** From source to an image in a registry. */
export const build: Feature = {
  name: 'build',
  user: serviceAccount('knative-build', 'build-controller'),
  kinds: buildKinds,
  controllers: ({ registry, clock, log, metrics, quarantine, folder }) =>
    buildControllers({ mirrors: registry.mirrors, dataDir: folder('build'), clock, log, metrics, quarantine }),
};
