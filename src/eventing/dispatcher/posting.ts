import type { ByteBudget } from '../../lib/byte-budget.ts';
import type { Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import { NoReplyError, UnsendableError } from '../../lib/http-client.ts';
import type { CloudEvent } from '../cloudevents/event.ts';
import { encode, type HttpEvent } from '../cloudevents/http.ts';
import { nextHop } from '../pass-through.ts';
import type { Poster, Target } from '../poster.ts';
import { type Outcome, outcomeOf, outcomeOfNoReply } from './outcome.ts';
import type { DeliveryConfig } from './subscriber.ts';

/** Who sends, and within which bounds. */
export interface Sender {
  poster: Poster;
  namespace: string;
  delivery: Pick<DeliveryConfig, 'timeoutMs' | 'format'>;
  /** Of one reply's body. */
  replyBytesMax: number;
  /** Of all replies that are not complete. */
  budget: ByteBudget;
  signal: AbortSignal;
  clock: Clock;
}

export interface Letter {
  to: Target;
  event: CloudEvent;
  /** What travels along, names and values in turn. */
  headers: readonly string[];
  /** Whether anything is done with an event in the reply; else a body of any kind is as good as none. */
  isReplyWanted: boolean;
}

export type Posted = Outcome & { rawHeaders: readonly string[] };

/** One attempt to deliver. Throws UnsendableError for what has no encoding, and what stopping throws. */
export async function post({ to, event, headers: passed, isReplyWanted }: Letter, sender: Sender): Promise<Posted> {
  const { namespace, delivery, replyBytesMax, budget, signal } = sender;
  const { headers, body } = encoded(event, delivery.format);
  if (isReplyWanted) headers.push('prefer', 'reply');
  headers.push('kn-namespace', namespace, ...nextHop(passed));
  try {
    const reply = await sender.poster.post(to, headers, body, {
      timeoutMs: delivery.timeoutMs,
      bodyBytesMax: replyBytesMax,
      budget,
      signal,
    });
    return { ...outcomeOf(reply, sender.clock.now(), isReplyWanted), rawHeaders: reply.rawHeaders };
  } catch (error) {
    if (!(error instanceof NoReplyError) || signal.aborted) throw error;
    return { ...outcomeOfNoReply(error), rawHeaders: [] };
  }
}

function encoded(event: CloudEvent, format: 'binary' | 'json'): HttpEvent {
  try {
    return encode(event, format);
  } catch (cause) {
    throw new UnsendableError(messageOf(cause), { cause });
  }
}
