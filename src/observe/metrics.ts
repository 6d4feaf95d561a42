import { setImmediate } from 'node:timers/promises';
import Counter from 'prom-client/lib/counter.js';
import Gauge from 'prom-client/lib/gauge.js';
import Histogram from 'prom-client/lib/histogram.js';
import Registry from 'prom-client/lib/registry.js';

type Readings<L extends string> = readonly (readonly [labels: Record<L, string>, value: number])[];

/** The metrics of one role, in Prometheus' text format. Metric names start with `kittiwake_`. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #sources: (() => string)[] = [];
  #telling: Promise<string> | undefined;
  #ofProcess: Promise<void> | undefined;

  constructor(role: string) {
    this.#registry.setDefaultLabels({ role });
  }

  /** Who asks for one of the same name gets the same one. */
  counter<L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    const known = this.#registry.getSingleMetric(name) as Counter<L> | undefined;
    return known ?? new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  /** With `read`, what it says is all there is, each time that somebody asks: no work on the hot path. */
  gauge<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
    read?: () => Readings<L> | Promise<Readings<L>>,
  ): Gauge<L> {
    const collect = async () => {
      const readings = (await read?.()) ?? [];
      gauge.reset();
      for (const [labels, value] of readings) gauge.set(labels, value);
    };
    const gauge = new Gauge({ name, help, labelNames, registers: [this.#registry], ...(read && { collect }) });
    return gauge;
  }

  /** `buckets` in the unit the name ends in; the default suits request durations in seconds. */
  histogram<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
    buckets: number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  ): Histogram<L> {
    return new Histogram({ name, help, labelNames, buckets, registers: [this.#registry] });
  }

  readonly contentType = this.#registry.contentType;

  /** Adds series that the caller counts by itself, where a labelled observation for each event would cost too much. */
  addSource(text: () => string): void {
    this.#sources.push(text);
  }

  /**
   * The exposition text that `GET /metrics` answers. Telling it takes milliseconds, so it is told once in a turn of the
   * event loop, however many ask.
   */
  text(): Promise<string> {
    this.#telling ??= setImmediate().then(() => {
      this.#telling = undefined;
      return this.#tell();
    });
    return this.#telling;
  }

  async #tell(): Promise<string> {
    this.#ofProcess ??= this.#observeProcess();
    await this.#ofProcess;
    const own = await this.#registry.metrics();
    return own + this.#sources.map((source) => source()).join('');
  }

  /** From the first time that somebody asks: loading it would take half of the time in which a role starts. */
  async #observeProcess(): Promise<void> {
    const { default: collectDefaultMetrics } = await import('prom-client/lib/defaultMetrics.js');
    collectDefaultMetrics({ register: this.#registry });
  }
}
