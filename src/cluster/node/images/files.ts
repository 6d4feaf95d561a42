import { availableParallelism } from 'node:os';
import type { Readable } from 'node:stream';
import { MessageChannel } from 'node:worker_threads';
import type { Clock } from '../../../lib/clock.ts';
import { FileThread } from './file-thread.ts';
import type { StackedLayer } from './implicit-folders.ts';
import { sendContent } from './layer-stream.ts';
import type { Unpacked } from './layer-writer.ts';
import type { UnpackOptions } from './unpack.ts';
import type { CopyOptions } from './working-copy.ts';

/** No single job takes longer: a layer is at most a few GiB. */
const patienceMs = 600_000;
/** Of a layer that is unpacked as it comes: as long as a registry may take for it, and the work itself. */
const unpackPatienceMs = 3_600_000 + patienceMs;
/** Layers that are unpacked at once; each has one more thread of zlib's. */
const unpackersMax = Math.min(3, Math.max(1, availableParallelism()));

/**
 * Trees of files, made and removed in threads of their own: with blocking calls, which are several times faster than
 * the event loop's for many small files, and without delaying the control plane that shares this process.
 *
 *     copies, removals, syncs ──▶ one thread          layers ──▶ the thread with the fewest of them
 */
export class Files {
  readonly #thread: FileThread;
  readonly #unpackers: readonly FileThread[];

  constructor(clock: Clock) {
    this.#thread = new FileThread(clock, patienceMs);
    this.#unpackers = Array.from({ length: unpackersMax }, () => new FileThread(clock, unpackPatienceMs));
  }

  /**
   * Unpacks a layer as `content` gives it; `onChunk` sees what it gives. Rejects when one of the three fails: then
   * nothing is written any more.
   */
  async unpack(content: Readable, options: UnpackOptions, onChunk: (chunk: Buffer) => void): Promise<Unpacked> {
    const { port1, port2 } = new MessageChannel();
    const [first, ...others] = this.#unpackers;
    const thread = others.reduce((least, other) => (other.jobs < least.jobs ? other : least), first as FileThread);
    const sending = sendContent(content, port1, onChunk).finally(() => content.destroy());
    const unpacking = thread.run({ type: 'unpack', options }, port2);
    // When the other side fails it wants no more, which is no failure of this one: its own is told.
    const [sent, unpacked] = await Promise.allSettled([sending, unpacking]).finally(() => port1.close());
    if (sent.status === 'rejected') throw sent.reason;
    if (unpacked.status === 'rejected') throw unpacked.reason;
    return unpacked.value as Unpacked;
  }

  /** Makes a working copy of an image. */
  async copy(options: CopyOptions): Promise<void> {
    await this.#thread.run({ type: 'copy', options });
  }

  /** Makes a used working copy as good as new; false when that cannot be. */
  async restore(place: string, cache: string | undefined): Promise<boolean> {
    return (await this.#thread.run({ type: 'restore', place, cache })) as boolean;
  }

  /** Makes a layer of folders as lower layers say them; its digest, or undefined when none is needed. */
  async folders(layers: readonly StackedLayer[], target: string): Promise<string | undefined> {
    return (await this.#thread.run({ type: 'folders', layers, target })) as string | undefined;
  }

  /** Puts a tree on the disk for good; false when it is gone. */
  async sync(path: string): Promise<boolean> {
    return (await this.#thread.run({ type: 'sync', path })) as boolean;
  }

  async remove(path: string): Promise<void> {
    await this.#thread.run({ type: 'remove', path });
  }

  /** Waits for what is under way, then ends the threads. */
  async close(): Promise<void> {
    await Promise.all([this.#thread, ...this.#unpackers].map((thread) => thread.close()));
  }
}
