import { type Build, BuildKind } from '../api/build/build.ts';
import { keyOf } from '../api/meta.ts';
import type { Controller } from '../kube/reconciler.ts';
import { buildRetentionController } from './retention/controller.ts';
import { type BuildOptions, BuildRuns } from './runs.ts';
import { isFinished } from './status.ts';

export type { BuildOptions as BuildControllerOptions } from './runs.ts';

/**
 * Runs every Build once, and again if the platform went down in the middle of it. Deleting a Build cancels it. Old ones
 * that no Revision needs are deleted.
 */
export function buildControllers(options: BuildOptions): Controller[] {
  const runs = new BuildRuns(options);
  const controller: Controller<Build> = {
    name: 'build',
    kind: BuildKind,
    async reconcile(build, context) {
      const isWanted = build.metadata.deletionTimestamp === undefined;
      if (isWanted && runs.isAtWork(build)) return;
      // Of this Build when it is being deleted, or of one that had its name before.
      runs.cancel(keyOf(build));
      // The run writes the Build's status itself: a build takes longer than a reconcile should.
      if (isWanted && !isFinished(build)) runs.start(build, context);
    },
    onGone: (key) => runs.cancel(key),
  };
  return [controller, buildRetentionController()];
}
