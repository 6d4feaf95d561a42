import { type Pod, PodKind } from '../../../api/core/pod.ts';
import { keyOf } from '../../../api/meta.ts';
import { isConflict, isNotFound } from '../../../api/status.ts';
import { sleep } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { NodeContext } from './node-context.ts';

const retryMs = 500;

/** The last write about a pod: with it the API forgets it. Tries until it has, or `isDetached`. Never rejects. */
export async function deletePod(node: NodeContext, pod: Pod, isDetached: () => boolean): Promise<void> {
  const { clock, client, log } = node;
  const { name, uid = '' } = pod.metadata;
  const options = { gracePeriodSeconds: 0, preconditions: { uid } };
  while (!isDetached()) {
    try {
      return await client.delete(PodKind, keyOf(pod), options);
    } catch (error) {
      // Gone already, or another pod has the name: either way this one is deleted.
      if (isNotFound(error) || isConflict(error)) return;
      log.warn({ pod: name, reason: messageOf(error) }, 'a pod could not be deleted: trying again');
      await sleep(clock, retryMs);
    }
  }
}
