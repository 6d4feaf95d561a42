import { type Key, keyOf, keyText } from '../../api/meta.ts';
import type { Revision, RevisionStatus } from '../../api/serving/revision.ts';
import type { ReconcileContext } from '../../kube/reconciler.ts';
import { embeddedRegistryHost, parseReference } from '../../registry/index.ts';
import { asksRegistry, DigestQueue, type DigestResolver, ImageError } from './digest-queue.ts';
import type { RevisionRun } from './revision-run.ts';

type Pinned = NonNullable<RevisionStatus['containerStatuses']>;

/** What is known of one revision's images while its status does not have them. */
interface Pin {
  uid: string | undefined;
  pinned?: Pinned;
  /** Of the newest attempt that failed; it stands until the next one has ended. */
  failure?: { error: ImageError; atMs: number };
  isAsking: boolean;
}

/** The registry may come back, and the image may be pushed yet. */
const retryMs = 10_000;

/**
 * Resolves a revision's images to digests, once: from then on a tag may move and the revision stays what it was.
 * Registries are asked beside the reconciles, and the answer calls for another one: no registry, dead or slow, holds up
 * a revision that does not need it.
 */
export class ImagePins {
  readonly #registry: DigestResolver;
  readonly #pins = new Map<string, Pin>();
  #queue: DigestQueue | undefined;

  constructor(registry: DigestResolver) {
    this.#registry = registry;
  }

  async pin(run: RevisionRun, context: ReconcileContext): Promise<void> {
    const { object: revision, status } = run;
    const key = keyText(keyOf(revision));
    if (status.containerStatuses?.length === revision.spec.containers.length) {
      this.#pins.delete(key);
      return;
    }
    const nowMs = context.clock.now();
    const pin = this.#pinOf(revision, key);
    const waitMs = pin.failure ? pin.failure.atMs + retryMs - nowMs : 0;
    if (!pin.pinned && !pin.isAsking && waitMs <= 0) {
      const asking = this.#ask(revision, pin, context);
      // Ours is a folder away: its answer is worth waiting for.
      if (revision.spec.containers.every(({ image = '' }) => isNear(image))) await asking;
    }
    if (pin.pinned) {
      status.containerStatuses = pin.pinned;
      return;
    }
    run.isBlocked = true;
    if (pin.failure) {
      run.conditions.markFalse('ContainerHealthy', 'ContainerMissing', pin.failure.error.message);
      if (!pin.isAsking) run.requeue = { requeueAfterMs: Math.max(1, pin.failure.atMs + retryMs - nowMs) };
    } else run.conditions.markUnknown('ResourcesAvailable', 'ResolvingDigests', '');
  }

  forget(key: Key): void {
    this.#pins.delete(keyText(key));
  }

  #pinOf({ metadata: { uid } }: Revision, key: string): Pin {
    let pin = this.#pins.get(key);
    // Another revision of the name: what comes for the old one is dropped with its pin.
    if (!pin || pin.uid !== uid) {
      pin = { uid, isAsking: false };
      this.#pins.set(key, pin);
    }
    return pin;
  }

  /** Never rejects: what comes of it is written into `pin`, and the revision reconciled again. */
  async #ask(revision: Revision, pin: Pin, context: ReconcileContext): Promise<void> {
    const { signal, quarantine, clock } = context;
    this.#queue ??= new DigestQueue({ resolver: this.#registry, signal, quarantine });
    const queue = this.#queue;
    pin.isAsking = true;
    try {
      pin.pinned = await Promise.all(
        revision.spec.containers.map(async ({ name, image = '' }) => ({
          name,
          imageDigest: await queue.resolve(image),
        })),
      );
      delete pin.failure;
    } catch (error) {
      if (signal.aborted) return;
      const failure = error instanceof ImageError ? error : new ImageError(String(error), { cause: error });
      pin.failure = { error: failure, atMs: clock.now() };
    } finally {
      pin.isAsking = false;
    }
    context.again(keyOf(revision));
  }
}

/** No other machine is asked about it. */
function isNear(image: string): boolean {
  try {
    return !asksRegistry(image) || parseReference(image).host === embeddedRegistryHost;
  } catch {
    return true; // Not a reference: known without asking, and said by the attempt.
  }
}
