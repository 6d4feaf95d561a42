import { KittiwakeError, messageOf } from '../../lib/errors.ts';
import { type NoReplyError, UnsendableError } from '../../lib/http-client.ts';
import type { CloudEvent } from '../cloudevents/event.ts';
import { claimsEvent, decodeHttp } from '../cloudevents/http.ts';
import type { HttpReply } from '../poster.ts';
import { retryAfterMs } from './backoff.ts';

/** How one attempt to deliver an event ended. */
export type Outcome = { kind: 'delivered'; reply?: CloudEvent } | Failure;

export interface Failure {
  kind: 'failed';
  canRetry: boolean;
  /** The HTTP status; 500 when there was no reply. */
  code: number;
  /** What the receiver said, for the dead letter: the first kilobyte, as it is kept while the event waits. */
  data: Buffer;
  /** What the receiver asks to wait at least. */
  retryAfterMs: number;
  why: string;
  /** To nobody, ever: there is something in the event that has no encoding. */
  isUnsendable?: boolean;
}

const retried = new Set([404, 408, 409, 429]);

/** Whether an event that was answered so is worth another attempt (Knative's data plane contract). */
export const isRetried = (status: number): boolean => status >= 500 || retried.has(status);

/**
 * What a reply to a delivery means. 2xx is delivered, with a reply event if the body is one; a body of 202 is not to be
 * processed. A 2xx with a body that is no event counts as 502: the subscriber's answer would be lost silently; unless
 * no reply is wanted.
 */
export function outcomeOf(reply: HttpReply, now: number, isReplyWanted = true): Outcome {
  const { status, headers, body } = reply;
  if (status < 200 || status > 299) {
    const wait = status === 429 || status === 503 ? retryAfterMs(headers['retry-after'], now) : 0;
    return failure(isRetried(status), status, body, `the receiver answered ${status}`, wait);
  }
  if (status === 202 || status === 204 || !isReplyWanted) return { kind: 'delivered' };
  if (reply.isCut) return failure(true, 502, body, `the reply is larger than ${body.length} bytes`);
  if (!claimsEvent(headers)) {
    if (body.length === 0) return { kind: 'delivered' };
    return failure(true, 502, body, 'the reply has a body that is no CloudEvent: reply with an event, or with nothing');
  }
  try {
    return { kind: 'delivered', reply: decodeHttp(reply.rawHeaders, body) };
  } catch (error) {
    if (!(error instanceof KittiwakeError)) throw error;
    return failure(true, 502, body, `the reply is ${error.message}`);
  }
}

/** The outcome of an attempt that got no reply. */
export function outcomeOfNoReply(error: NoReplyError): Failure {
  return failure(true, 500, Buffer.from(`dispatch error: ${error.message}`), `${error.message} (${error.code})`);
}

/** The outcome of an attempt in which something went wrong on our side, be it the event's fault or ours. */
export function outcomeOfError(error: unknown): Failure {
  const isUnsendable = error instanceof UnsendableError;
  return { ...unusable(messageOf(error)), canRetry: !isUnsendable, isUnsendable };
}

/** The outcome without an attempt. */
export const unusable = (why: string): Failure => failure(false, 500, Buffer.from(why), why);

export function failure(canRetry: boolean, code: number, data: Buffer, why: string, retryAfterMs = 0): Failure {
  return { kind: 'failed', canRetry, code, data: Buffer.from(data.subarray(0, dataBytesMax)), why, retryAfterMs };
}

const dataBytesMax = 1024;
