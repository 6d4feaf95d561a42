import { PodKind, portsAnnotation } from '../../../api/core/pod.ts';
import { keyOf, timestamp } from '../../../api/meta.ts';
import { isConflict, isNotFound } from '../../../api/status.ts';
import type { Client } from '../../../kube/client.ts';

/** Plays the node until `signal` aborts: each pod is ready at once, at `port`, and gone at once when it is deleted. */
export async function playNode(client: Client, port: number, signal: AbortSignal): Promise<void> {
  for await (const event of client.watch(PodKind, { signal })) {
    if (event.type === 'BOOKMARK' || event.type === 'DELETED') continue;
    const pod = event.object;
    try {
      if (pod.metadata.deletionTimestamp) await client.delete(PodKind, keyOf(pod), { gracePeriodSeconds: 0 });
      else if (pod.metadata.annotations?.[portsAnnotation] === undefined) {
        const annotations = { [portsAnnotation]: JSON.stringify({ 8080: port }) };
        await client.patch(PodKind, keyOf(pod), { type: 'merge', patch: { metadata: { annotations } } });
        const ready = { type: 'Ready', status: 'True', lastTransitionTime: timestamp(Date.now()) };
        const status = { phase: 'Running', podIP: '127.0.0.1', conditions: [ready] };
        await client.patch(PodKind, keyOf(pod), { type: 'merge', patch: { status } }, 'status');
      }
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error)) throw error; // It was deleted meanwhile.
    }
  }
}
