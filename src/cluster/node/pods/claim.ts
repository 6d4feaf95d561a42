import { type Pod, PodKind, portsAnnotation } from '../../../api/core/pod.ts';
import { keyOf, keyText } from '../../../api/meta.ts';
import { isConflict, isNotFound } from '../../../api/status.ts';
import { sleep } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { NodeContext } from './node-context.ts';
import { createBackoffMs } from './restart.ts';

const writeRetryMs = 500;
const conflictRetryMs = 5;

/**
 * Writes that this node runs the pod, and at which ports (`portsText`; undefined where each is its own), until that has
 * succeeded or `isStopped`. Returns the pod as it was written; undefined when it is gone, or was stopped.
 */
export async function claimPod(
  node: NodeContext,
  seen: Pod,
  portsText: () => string | undefined,
  isStopped: () => boolean,
): Promise<Pod | undefined> {
  const { client, clock, nodeName, events, log } = node;
  const { uid } = seen.metadata;
  let pod: Pod | undefined = seen;
  for (let attempt = 0; !isStopped(); ) {
    if (pod?.metadata.uid !== uid || pod === undefined) return undefined;
    const { metadata, spec } = pod;
    const ports = portsText();
    try {
      const { [portsAnnotation]: _, ...others } = metadata.annotations ?? {};
      const annotations = ports === undefined ? others : { ...others, [portsAnnotation]: ports };
      const claimed = { ...pod, metadata: { ...metadata, annotations }, spec: { ...spec, nodeName } };
      const written = await client.update(PodKind, claimed);
      events.record(pod, 'Normal', 'Scheduled', `Successfully assigned ${keyText(keyOf(pod))} to ${nodeName}`);
      return written;
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error)) {
        log.warn({ pod: metadata.name, reason: messageOf(error) }, 'a pod could not be claimed: trying again');
        events.record(pod, 'Warning', 'FailedScheduling', `the pod cannot be claimed: ${messageOf(error)}`);
        await sleep(clock, createBackoffMs(attempt++));
      }
      pod = await readAgain(node, pod);
    }
  }
  return undefined;
}

/**
 * The pod as the API has it now; as it was known when the API does not answer. Not at once: what a write is in conflict
 * with is read only when it is on the disk, and an API in this very process gets it there between turns.
 */
export async function readAgain({ client, clock, log }: NodeContext, pod: Pod): Promise<Pod | undefined> {
  await sleep(clock, conflictRetryMs);
  try {
    return await client.get(PodKind, keyOf(pod));
  } catch (error) {
    log.warn({ pod: pod.metadata.name, reason: messageOf(error) }, 'a pod could not be read');
    await sleep(clock, writeRetryMs);
    return pod;
  }
}
