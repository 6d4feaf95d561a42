import { messageOf } from '../../lib/errors.ts';
import { type Quarantine, SetAsideError } from '../../lib/quarantine.ts';
import { Semaphore } from '../../lib/semaphore.ts';
import { embeddedRegistryHost, formatReference, parseReference } from '../../registry/index.ts';

/** Asks a registry for the digest that an image reference points to now. */
export interface DigestResolver {
  resolve(reference: string, signal?: AbortSignal): Promise<string>;
}

export interface DigestQueueOptions {
  resolver: DigestResolver;
  /** Ends what is under way. */
  signal: AbortSignal;
  quarantine: Quarantine;
  /** For one answer, from when it is asked for; 10 s unless given. */
  timeoutMs?: number;
}

/** An image that cannot be pinned to a digest. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
}

/** Hosts of local tools whose tags have no registry behind them (Knative's registries-skipping-tag-resolving). */
const unresolvedHosts = new Set(['kind.local', 'ko.local', 'dev.local']);
const timeoutMsDefault = 10_000;
/** One host gets this many questions at once: dead ones hold up nobody but those who ask them. */
const perHostMax = 4;
/** All hosts together: each question is a socket. */
const totalMax = 256;

/**
 * Turns images into images by digest. What several ask at once is asked once; each registry has a queue of its own.
 *
 *     image ──▶ asked already? ──no──▶ queue of its host (4) ──▶ all hosts (256) ──▶ resolver, 10 s
 *                     └──yes──▶ the same answer
 */
export class DigestQueue {
  readonly #options: DigestQueueOptions;
  readonly #asked = new Map<string, Promise<string>>();
  readonly #hosts = new Map<string, Semaphore>();
  readonly #all = new Semaphore(totalMax);

  constructor(options: DigestQueueOptions) {
    this.#options = options;
  }

  /** The image by digest, or as it is where no registry stands behind it. Rejects with ImageError naming the image. */
  resolve(image: string): Promise<string> {
    const known = this.#asked.get(image);
    if (known) return known;
    const asked = this.#resolve(image).finally(() => this.#asked.delete(image));
    this.#asked.set(image, asked);
    return asked;
  }

  async #resolve(image: string): Promise<string> {
    try {
      if (!asksRegistry(image)) return image;
      const { host, name } = parseReference(image);
      return formatReference({ host, name, digest: await this.#inLanes(host, () => this.#ask(host, image)) });
    } catch (error) {
      throw new ImageError(`Unable to fetch image "${image}": ${describe(error)}`, { cause: error });
    }
  }

  async #inLanes(host: string, ask: () => Promise<string>): Promise<string> {
    const lane = this.#hosts.get(host) ?? new Semaphore(perHostMax);
    this.#hosts.set(host, lane);
    try {
      return await lane.run(() => this.#all.run(ask));
    } finally {
      if (lane.isIdle) this.#hosts.delete(host);
    }
  }

  async #ask(host: string, image: string): Promise<string> {
    const { resolver, quarantine, signal, timeoutMs = timeoutMsDefault } = this.#options;
    const { promise: ended, reject } = Promise.withResolvers<never>();
    const deadline = new AbortController();
    const end = (error: unknown) => {
      deadline.abort(error);
      reject(error);
    };
    const stop = () => end(signal.reason);
    const timer = setTimeout(() => end(new Error(`${host} did not answer within ${timeoutMs / 1000} s`)), timeoutMs);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    try {
      // A resolver that does not look at the signal must not keep the place for ever, either.
      const answer = quarantine.runWithin(`image ${image}`, () => resolver.resolve(image, deadline.signal));
      return await Promise.race([answer, ended]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }
}

/** Whether somebody must be asked; throws what is wrong with the reference. */
export function asksRegistry(image: string): boolean {
  const { host, digest } = parseReference(image);
  // Somebody else's registry is not asked about what is pinned already; our own is, which costs nothing.
  return !unresolvedHosts.has(host) && (digest === undefined || host === embeddedRegistryHost);
}

/** Network errors hide what happened in their cause. */
function describe(error: unknown): string {
  const message = messageOf(error);
  if (error instanceof SetAsideError) return message;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : '';
  return message.includes(cause) ? message : `${message}: ${cause}`;
}
