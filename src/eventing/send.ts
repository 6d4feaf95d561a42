import { messageOf } from '../lib/errors.ts';
import { type CloudEvent, checkAttributes } from './cloudevents/event.ts';
import { encode } from './cloudevents/http.ts';
import { type HttpReply, Poster, targetOf } from './poster.ts';

export interface SendOptions {
  /** Dialled for hosts under `.svc.cluster.local`. */
  gatewayUrl?: string;
  /** 10 s unless given. */
  timeoutMs?: number;
  /** Further headers, names and values in turn. */
  headers?: readonly string[];
}

/**
 * Posts one event, in binary mode where its attributes fit into headers, and resolves with the reply once it is
 * accepted (2xx). Throws EVENT_INVALID before anything is sent, and otherwise an Error whose message names the URL and
 * what the receiver said.
 */
export async function sendEvent(url: string, event: CloudEvent, options: SendOptions = {}): Promise<HttpReply> {
  const poster = new Poster();
  try {
    return await sendWith(poster, url, event, options);
  } finally {
    poster.close();
  }
}

/** The same over the connections of `poster`. */
export async function sendWith(
  poster: Poster,
  url: string,
  event: CloudEvent,
  { gatewayUrl, timeoutMs = 10_000, headers: further = [] }: SendOptions = {},
): Promise<HttpReply> {
  checkAttributes(event.attributes);
  const { headers, body } = encode(event, 'binary');
  let reply: HttpReply;
  try {
    const target = targetOf(url, { gatewayUrl });
    reply = await poster.post(target, [...headers, ...further], body, { timeoutMs, bodyBytesMax: 64 * 1024 });
  } catch (error) {
    throw new Error(`the event was not sent to ${url}: ${messageOf(error)}`, { cause: error });
  }
  if (reply.status >= 200 && reply.status < 300) return reply;
  const said = reply.body.toString('utf8', 0, 500).trim();
  throw new RefusedError(
    `${url} refused the event with ${reply.status}${said === '' ? '' : `: ${said}`}`,
    reply.status,
  );
}

/** The receiver answered, but not with 2xx. */
export class RefusedError extends Error {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.name = 'RefusedError';
    this.status = status;
  }
}
