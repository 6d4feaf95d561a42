import { ApiError } from '../../../api/status.ts';
import type { PodStreams } from '../../pod-streams.ts';
import type { RunningContainer } from '../driver.ts';
import type { PodRunner } from './pod-runner.ts';

/** What the API server wants of what runs in a pod, by the pod's uid. */
export function podStreams(runnerOf: (uid: string) => Pick<PodRunner, 'running' | 'sandbox'> | undefined): PodStreams {
  const running = (uid: string | undefined, name: string): RunningContainer => {
    const found = runnerOf(uid ?? '')?.running.find(({ id }) => id.container === name);
    if (found) return found;
    throw new ApiError(
      500,
      'InternalError',
      `unable to upgrade connection: container not found (${JSON.stringify(name)})`,
    );
  };
  return {
    exec: async ({ metadata }, { container, command, hasStdin, hasTerminal }, signal) =>
      running(metadata.uid, container).exec(command, { hasStdin, hasTerminal }, signal),
    attach: async ({ metadata }, { container, hasStdin, hasTerminal }, signal) =>
      running(metadata.uid, container).attach({ hasStdin, hasTerminal }, signal),
    async forward({ metadata }, port) {
      const sandbox = runnerOf(metadata.uid ?? '')?.sandbox;
      if (sandbox) return sandbox.forward(port);
      throw new ApiError(404, 'NotFound', `the pod ${metadata.name} does not run on this node`);
    },
  };
}
