import type { IncomingMessage } from 'node:http';
import { clusterDomain } from '../api/names.ts';
import type { ByteBudget } from '../lib/byte-budget.ts';
import { readBody } from '../lib/http-body.ts';
import { HttpClient, targetOf as targetOfUrl, type Target as UrlTarget } from '../lib/http-client.ts';

/** Where events go. */
export interface Target extends UrlTarget {
  url: string;
}

export interface HttpReply {
  status: number;
  /** Names and values in turn, as they came. */
  rawHeaders: string[];
  headers: IncomingMessage['headers'];
  /** Cut off after `bodyBytesMax`. */
  body: Buffer;
  isCut: boolean;
}

export interface PostOptions {
  /** For the whole exchange. */
  timeoutMs: number;
  /** Of the reply's body; the rest is not read. */
  bodyBytesMax: number;
  /** Shared with the other posts of one caller: replies that are on their way are held in memory. */
  budget?: ByteBudget;
  signal?: AbortSignal;
}

/**
 * Resolves a URL for dialling. Names under `.svc.cluster.local` are those of Services of the platform: the gateway is
 * dialled and finds them by the Host header.
 */
export function targetOf(url: string, options: { gatewayUrl?: string | undefined; ca?: string | undefined }): Target {
  const { gatewayUrl, ca } = options;
  const dial = new URL(url).hostname.endsWith(`.${clusterDomain}`) ? gatewayUrl : undefined;
  return { url, ...targetOfUrl(url, { dial, ...(ca !== undefined && { tls: { ca } }) }) };
}

/** Posts events to targets. */
export class Poster {
  readonly #client = new HttpClient();

  /**
   * `headers` are names and values in turn, without Host and Content-Length. Rejects with NoReplyError, or with
   * UnsendableError. What it holds is bounded, whatever the peer does: does not read, sends without end, or nothing.
   */
  async post(
    target: Target,
    headers: readonly string[],
    body: Buffer | undefined,
    { timeoutMs, bodyBytesMax, budget, signal }: PostOptions,
  ): Promise<HttpReply> {
    // An event may come twice: whoever takes events knows them by their ids.
    const request = { method: 'POST', target, headers, body, wholeMs: timeoutMs, signal, isRepeatable: true };
    const response = await this.#client.send(request);
    const { bytes, isCut } = await readBody(response, bodyBytesMax, budget);
    return {
      status: response.statusCode ?? 0,
      rawHeaders: response.rawHeaders,
      headers: response.headers,
      body: bytes,
      isCut,
    };
  }

  close(): void {
    this.#client.close();
  }
}
