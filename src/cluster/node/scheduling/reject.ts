import { type Pod, PodKind } from '../../../api/core/pod.ts';
import { timestamp } from '../../../api/meta.ts';
import { isConflict, isNotFound } from '../../../api/status.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { NodeContext } from '../pods/node-context.ts';
import { forbiddenSysctl } from '../sysctls.ts';

/** Says of a pod that the node does not take it: it is over before it has begun. Never rejects. */
export async function rejectPod(
  { client, clock, events, log }: Pick<NodeContext, 'client' | 'clock' | 'events' | 'log'>,
  pod: Pod,
  { reason, message }: { reason: string; message: string },
): Promise<void> {
  const startTime = timestamp(clock.now());
  const status = { ...pod.status, phase: 'Failed' as const, reason, message, startTime };
  try {
    await client.update(PodKind, { ...pod, status }, 'status');
    events.record(pod, 'Warning', reason, message.replace(/^Pod was rejected: /, ''));
  } catch (error) {
    // Of one that has changed, what is newer is on its way here.
    if (isConflict(error) || isNotFound(error)) return;
    log.warn({ pod: pod.metadata.name, reason: messageOf(error) }, 'a pod could not be rejected: at its next change');
  }
}

/** Why no node takes the pod, whoever has put it there; undefined of one that asks for nothing of the kind. */
export function forbidden(pod: Pod): { reason: string; message: string } | undefined {
  const sysctl = forbiddenSysctl(pod);
  return sysctl === undefined ? undefined : { reason: 'SysctlForbidden', message: `Pod was rejected: ${sysctl}` };
}
