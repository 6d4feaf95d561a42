import { type Clock, sleep } from '../../../lib/clock.ts';
import type { PodUsage, Resources, UsageReader, UsageReport } from '../../pod-usage.ts';
import type { RunningContainer } from '../driver.ts';
import type { NodeSample } from './node-sample.ts';

/** As metrics-server: what is told is at most so old. */
const periodMs = 15_000;
/** After the last question, looking ends: an idle node costs nothing. */
const attentionMs = 120_000;
/** Who asks first waits for the second of two looks. */
const firstWindowMs = 1_000;

export interface SamplerOptions {
  clock: Clock;
  nodeName: string;
  /** Those that run now. */
  containers(): readonly RunningContainer[];
  /** Undefined where the system does not say. */
  node(): Promise<NodeSample | undefined>;
}

interface ContainerSample {
  podUid: string;
  name: string;
  /** When this run of it started. */
  startedAtMs: number;
  atMs: number;
  cpuNs: number;
  memoryBytes: number;
}

interface Look {
  atMs: number;
  /** By pod, name and run. */
  containers: ReadonlyMap<string, ContainerSample>;
  node: NodeSample | undefined;
}

/**
 * What containers use: counters of processor time make a rate only by two looks.
 *
 *     read ──▶ nothing known: look, wait 1 s, look ──▶ rate
 *        └───▶ looked at every 15 s since, for two minutes after the last read
 */
export class UsageSampler implements UsageReader {
  readonly #options: SamplerOptions;
  readonly #stopping = new AbortController();
  #before: Look | undefined;
  #last: Look | undefined;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: SamplerOptions) {
    this.#options = options;
  }

  async read(): Promise<UsageReport> {
    const { clock } = this.#options;
    this.#askedAtMs = clock.monotonic();
    if (this.#cancel === undefined) {
      this.#before = undefined;
      this.#last = undefined;
      this.#schedule();
    }
    this.#looking ??= this.#catchUp().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
    return this.#report();
  }

  stop(): void {
    this.#stopping.abort();
    this.#cancel?.();
  }

  /** Two looks, the last of which is no older than the period. */
  async #catchUp(): Promise<void> {
    if (!this.#last) await this.#look();
    if (this.#before) return;
    await sleep(this.#options.clock, firstWindowMs, this.#stopping.signal).catch(() => {}); // Stopped: it is the last.
    await this.#look();
  }

  #schedule(): void {
    const { clock } = this.#options;
    this.#cancel = clock.after(periodMs, () => {
      this.#cancel = undefined;
      if (this.#stopping.signal.aborted || clock.monotonic() - this.#askedAtMs > attentionMs) return;
      this.#schedule();
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined;
      });
    });
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { clock, containers, node } = this.#options;
    const samples = new Map<string, ContainerSample>();
    await Promise.all(
      containers().map(async ({ id, startedAtMs, stats }, i, all) => {
        const atMs = clock.now();
        const found = await stats.call(all[i]);
        if (!found) return;
        const { cpuUsageNs: cpuNs, memoryWorkingSetBytes: memoryBytes } = found;
        const sample = { podUid: id.podUid, name: id.container, startedAtMs, atMs, cpuNs, memoryBytes };
        samples.set(`${id.podUid}/${id.container}/${id.restart}`, sample);
      }),
    );
    this.#before = this.#last;
    this.#last = { atMs: clock.now(), containers: samples, node: await node() };
  }

  #report(): UsageReport {
    const pods = new Map<string, PodUsage & { containers: (Resources & { name: string })[] }>();
    for (const [key, sample] of this.#last?.containers ?? []) {
      const { podUid, name, atMs, memoryBytes } = sample;
      const rate = rateOf(this.#before?.containers.get(key) ?? { atMs: sample.startedAtMs, cpuNs: 0 }, sample);
      if (!rate) continue;
      const pod = pods.get(podUid) ?? { atMs, windowMs: rate.windowMs, containers: [] };
      pods.set(podUid, pod);
      pod.containers.push({ name, cpuNanocores: rate.cpuNanocores, memoryBytes });
    }
    const [first, second] = [this.#before?.node, this.#last?.node];
    const rate = first && second && rateOf(first, second);
    const { nodeName: name } = this.#options;
    const node = rate && { name, atMs: second.atMs, memoryBytes: second.memoryBytes, ...rate };
    return { pods, node };
  }
}

interface Counted {
  atMs: number;
  cpuNs: number;
}

/** Undefined when there is no time between the two. A counter that has gone back (children that left) is no use. */
function rateOf(first: Counted, second: Counted): { cpuNanocores: number; windowMs: number } | undefined {
  const windowMs = second.atMs - first.atMs;
  if (windowMs <= 0) return undefined;
  const usedNs = Math.max(0, second.cpuNs - first.cpuNs);
  return { cpuNanocores: Math.round((usedNs / windowMs) * 1000), windowMs };
}
