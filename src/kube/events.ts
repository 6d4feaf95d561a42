import { createHash } from 'node:crypto';
import { type CoreEvent, EventKind } from '../api/core/event.ts';
import { apiVersionOf, type Kind } from '../api/kind.ts';
import { type KubeObject, keyOf, timestamp } from '../api/meta.ts';
import type { Client } from './client.ts';
import { despiteRaces } from './despite-races.ts';

/** What is said about an object, and who says it. */
export interface Said {
  type: 'Normal' | 'Warning';
  reason: string;
  message: string;
  source: NonNullable<CoreEvent['source']>;
}

const messageMax = 1024;
/** With a dot and 16 digits an event's name is at most 253 characters long. */
const objectNameMax = 236;

/**
 * Tells people what happened to an object, as a core/v1 Event; the way everybody does. What the source has said before,
 * be it in an earlier process, is counted up. How long events are kept is the API server's business alone.
 */
export async function recordEvent(
  client: Client,
  kind: Kind,
  object: KubeObject,
  said: Said,
  atMs: number,
): Promise<void> {
  const event = eventOf(kind, object, said, timestamp(atMs));
  await despiteRaces(async () => {
    const before = await client.get(EventKind, keyOf(event));
    if (!before) await client.create(EventKind, event);
    else {
      const { lastTimestamp = null } = event;
      await client.update(EventKind, { ...before, count: (before.count ?? 1) + 1, lastTimestamp });
    }
  });
}

function eventOf(kind: Kind, { metadata }: KubeObject, { type, reason, message, source }: Said, at: string): CoreEvent {
  const { name, namespace, uid = '' } = metadata;
  const hash = createHash('sha256').update(JSON.stringify([uid, type, reason, message, source]));
  return {
    apiVersion: apiVersionOf(EventKind),
    kind: EventKind.kind,
    metadata: {
      name: `${name.slice(0, objectNameMax).replace(/[.-]+$/, '')}.${hash.digest('hex').slice(0, 16)}`,
      namespace: namespace ?? 'default',
    },
    involvedObject: {
      apiVersion: apiVersionOf(kind),
      kind: kind.kind,
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid,
    },
    type,
    reason,
    message: message.slice(0, messageMax),
    source,
    ...(source.component === undefined ? {} : { reportingComponent: source.component }),
    ...(source.host === undefined ? {} : { reportingInstance: source.host }),
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
  };
}
