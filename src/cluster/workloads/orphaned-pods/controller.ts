import { NodeKind } from '../../../api/core/node.ts';
import { type Pod, PodKind } from '../../../api/core/pod.ts';
import { keyOf, keyText } from '../../../api/meta.ts';
import type { Controller } from '../../../kube/reconciler.ts';
import { kubeController } from '../users.ts';

/** A node may be registered anew within this (Kubernetes' pod garbage collector waits as long). */
const patienceMs = 40_000;

/** Deletes pods whose node is not there any more, or never was: nobody else could end them. */
export function orphanedPodController(): Controller<Pod> {
  /** By pod: since when its node was found missing, in ms. */
  const missingSince = new Map<string, number>();
  return {
    name: 'orphaned-pods',
    user: kubeController('pod-garbage-collector'),
    kind: PodKind,
    watches: [
      {
        kind: NodeKind,
        keys: ({ metadata: { name } }, cache) =>
          cache
            .list(PodKind)
            .filter(({ spec }) => spec.nodeName === name)
            .map(keyOf),
      },
    ],
    async reconcile(pod, { cache, client, clock, log }) {
      const { nodeName } = pod.spec;
      if (!nodeName) return;
      const node = { name: nodeName };
      const key = keyText(keyOf(pod));
      if (cache.get(NodeKind, node)) {
        missingSince.delete(key);
        return;
      }
      const sinceMs = missingSince.get(key) ?? clock.now();
      missingSince.set(key, sinceMs);
      const leftMs = sinceMs + patienceMs - clock.now();
      if (leftMs > 0) return { requeueAfterMs: leftMs };
      // The cache may be behind, and this cannot be undone.
      if (await client.get(NodeKind, node)) return { requeueAfterMs: patienceMs };
      log.info({ pod: pod.metadata.name, node: nodeName }, 'the pod goes: its node is not there');
      const { uid } = pod.metadata;
      await client.delete(PodKind, keyOf(pod), {
        gracePeriodSeconds: 0,
        ...(uid === undefined ? {} : { preconditions: { uid } }),
      });
    },
    onGone(key) {
      missingSince.delete(keyText(key));
    },
  };
}
