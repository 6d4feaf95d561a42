import { EndpointSliceKind } from '../api/discovery/endpoint-slice.ts';
import type { Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import { IngressKind } from '../api/networking/ingress.ts';
import { RevisionKind } from '../api/serving/revision.ts';
import type { Client } from '../kube/client.ts';
import { Informer } from '../kube/informer.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../observe/log.ts';
import { buildSnapshot } from './build-snapshot.ts';
import type { Problem, Snapshot, SnapshotSource } from './snapshot.ts';

/**
 * Snapshots from a Kubernetes API, by watching. While the API is away the last snapshot stands. Changes that come in
 * one turn of the event loop make one snapshot.
 */
export function informerSource(client: Client, clock: Clock, log: Logger): SnapshotSource {
  const informerOf = <T extends KubeObject>(kind: Kind<T>) => new Informer(client, kind, { clock, log });
  const ingresses = informerOf(IngressKind);
  const slices = informerOf(EndpointSliceKind);
  const revisions = informerOf(RevisionKind);
  let isStopped = false;
  /** As logged. */
  let problems = new Set<string>();
  const tellProblems = (found: readonly Problem[]) => {
    const before = problems;
    problems = new Set(found.map(({ object, why }) => `${object}: ${why}`));
    for (const problem of problems) {
      if (!before.has(problem)) log.warn({ problem }, 'this was left out of the routes: correct the object');
    }
  };

  return {
    async start(onSnapshot: (snapshot: Snapshot) => void): Promise<void> {
      let isScheduled = false;
      const rebuild = () => {
        isScheduled = false;
        if (isStopped) return;
        try {
          const snapshot = buildSnapshot(ingresses.list(), slices.list(), revisions.list());
          tellProblems(snapshot.problems ?? []);
          onSnapshot(snapshot);
        } catch (error) {
          // Called by the event loop, where a throw would end the process; the next change makes another one.
          log.error({ err: error }, 'making the routes failed: those of before stand');
        }
      };
      const schedule = () => {
        if (isScheduled) return;
        isScheduled = true;
        setImmediate(rebuild);
      };
      for (const informer of [ingresses, slices, revisions]) informer.start();
      await Promise.all([ingresses.synced, slices.synced, revisions.synced]);
      rebuild();
      ingresses.onChange(schedule);
      slices.onChange(schedule);
      revisions.onChange(schedule);
    },
    async stop(): Promise<void> {
      isStopped = true;
      await Promise.all([ingresses.stop(), slices.stop(), revisions.stop()]);
    },
  };
}
