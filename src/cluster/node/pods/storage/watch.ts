import { join } from 'node:path';
import type { Pod } from '../../../../api/core/pod.ts';
import { isPodTerminal } from '../../../../api/core/pod.ts';
import type { Clock } from '../../../../lib/clock.ts';
import { messageOf } from '../../../../lib/errors.ts';
import type { Logger } from '../../../../observe/log.ts';
import type { RunningContainer } from '../../driver.ts';
import { isOnDisk, limitsStorage, type StorageUse, storageExcess } from './limits.ts';
import { bytesBelow, bytesOf } from './use.ts';

/** A pod that runs here. */
export interface StoredPod {
  readonly pod: Pod;
  readonly running: readonly RunningContainer[];
  /** The folder of its volumes, each by its name. */
  readonly volumesDir: string;
  /** Ends the pod: it has had more than it may. */
  evict(message: string): void;
}

export interface StorageWatchOptions {
  pods(): Iterable<StoredPod>;
  clock: Clock;
  log: Logger;
  /** From the end of one look to the next. */
  periodMs?: number | undefined;
}

/** As often as the kubelet looks. */
const periodDefaultMs = 10_000;

/** Looks after what pods with limits have on the disk, until the returned function is called. */
export function watchStorage(options: StorageWatchOptions): () => void {
  const { pods, clock, log, periodMs = periodDefaultMs } = options;
  const stopping = new AbortController();
  let cancel = () => {};
  next();
  return () => {
    stopping.abort();
    cancel();
  };

  function next(): void {
    cancel = clock.after(periodMs, () => {
      look()
        .catch((error) => log.warn({ reason: messageOf(error) }, 'local storage could not be counted'))
        .finally(() => {
          if (!stopping.signal.aborted) next();
        });
    });
  }

  async function look(): Promise<void> {
    for (const each of [...pods()]) {
      if (!limitsStorage(each.pod) || isPodTerminal(each.pod) || each.running.length === 0) continue;
      const excess = storageExcess(each.pod, await useOf(each, stopping.signal));
      if (stopping.signal.aborted) return;
      if (excess !== undefined) each.evict(excess);
    }
  }
}

/** What a pod has on the disk now. */
export async function useOf({ pod, running, volumesDir }: StoredPod, signal: AbortSignal): Promise<StorageUse> {
  const volumes = (pod.spec.volumes ?? []).filter(isOnDisk).map(({ name }) => ({ name, path: join(volumesDir, name) }));
  const written = running.flatMap(({ id, writablePath }) =>
    writablePath === undefined ? [] : [{ name: id.container, path: writablePath }],
  );
  const counted = await bytesBelow(
    [...volumes, ...written].map(({ path }) => path),
    signal,
  );
  const containers = new Map<string, number>();
  for (const { id, logPath } of running) containers.set(id.container, await bytesOf(logPath));
  for (const { name, path } of written) containers.set(name, (containers.get(name) ?? 0) + (counted.get(path) ?? 0));
  return { volumes: new Map(volumes.map(({ name, path }) => [name, counted.get(path) ?? 0])), containers };
}
