import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { KittiwakeError, messageOf } from '../../lib/errors.ts';
import type { Quarantine } from '../../lib/quarantine.ts';
import { sameJson } from '../../lib/same-json.ts';
import type { Logger } from '../../observe/log.ts';
import { type LogLimits, SqliteLog } from '../backends/sqlite.ts';
import type { Poster } from '../http-client.ts';
import type { BrokerConfig, TriggerConfig } from './config.ts';
import { type Known, readKnown, writeKnown } from './known.ts';
import type { BrokerMetrics } from './metrics.ts';
import { BrokerRuntime } from './runtime.ts';

export interface BrokersOptions {
  dir: string;
  poster: Poster;
  quarantine: Quarantine;
  gatewayUrl: string | undefined;
  inFlightMax: number;
  replyBytesMax: number;
  limits: LogLimits;
  clock: Clock;
  log: Logger;
  metrics: BrokerMetrics;
  /** A disk that failed: what it holds is unknown, the process must start anew. */
  onFailure(error: unknown): void;
}

/** How one broker or trigger fares here, for its status. */
export type Served = { uid: string; error?: string };

const reopenDelayMs = 2000;

/** All brokers of this process, kept as the last configuration says. */
export class Brokers {
  readonly #options: BrokersOptions;
  readonly #runtimes = new Map<string, BrokerRuntime>();
  readonly #errors = new Map<string, string>();
  #known: Known = { brokers: [], triggers: [] };
  /** Whether the API server has told what there is: before, an unknown broker may only not be known yet. */
  #isComplete = false;
  #work: Promise<void> = Promise.resolve();
  #cancelRetry: (() => void) | undefined;
  #isStopped = false;

  constructor(options: BrokersOptions) {
    this.#options = options;
  }

  /** Serves what the last process knew. */
  async restore(): Promise<void> {
    const known = readKnown(this.#knownPath);
    if (known) await this.#apply(known, false);
  }

  /** Serves exactly what the API server has; the logs of brokers that are gone are removed. */
  async set(known: Known): Promise<void> {
    await this.#apply(known, true);
  }

  find(namespace: string, name: string): BrokerRuntime | KittiwakeError {
    const key = `${namespace}/${name}`;
    const runtime = this.#runtimes.get(key);
    if (runtime) return runtime;
    const error = this.#errors.get(key);
    if (error !== undefined) return new KittiwakeError('BROKER_NOT_READY', { broker: key, why: error });
    if (!this.#isComplete) {
      return new KittiwakeError('BROKER_NOT_READY', { broker: key, why: 'the broker is starting' });
    }
    return new KittiwakeError('BROKER_NOT_FOUND', { namespace, name });
  }

  /** Whether this broker (of this uid) accepts events, or why not; undefined when that is not known yet. */
  served(broker: BrokerConfig): Served | undefined {
    const error = this.#errors.get(keyOf(broker));
    if (error !== undefined) return { uid: broker.uid, error };
    return this.#runtimes.get(keyOf(broker))?.config.uid === broker.uid ? { uid: broker.uid } : undefined;
  }

  /** Whether this trigger has its place in its broker's log. */
  isSubscribed(trigger: TriggerConfig): boolean {
    return this.#runtimes.get(`${trigger.namespace}/${trigger.broker}`)?.isSubscribed(trigger) ?? false;
  }

  *backlogs(): Iterable<{ broker: string; trigger: string; events: number }> {
    for (const [broker, runtime] of this.#runtimes) {
      for (const backlog of runtime.backlogs()) yield { broker, ...backlog };
    }
  }

  async stop(graceMs: number): Promise<void> {
    this.#isStopped = true;
    this.#cancelRetry?.();
    await this.#work;
    await Promise.all([...this.#runtimes.values()].map((runtime) => runtime.stop(graceMs)));
    this.#runtimes.clear();
  }

  get #knownPath(): string {
    return join(this.#options.dir, 'known.json');
  }

  get #logsDir(): string {
    return join(this.#options.dir, 'logs');
  }

  /** One change after the other. */
  #apply(known: Known, isComplete: boolean): Promise<void> {
    const work = this.#work.then(() => (this.#isStopped ? undefined : this.#change(known, isComplete)));
    // A change that failed must not keep the next one from running; its caller hears of it.
    this.#work = work.catch(() => {});
    return work;
  }

  async #change(known: Known, isComplete: boolean): Promise<void> {
    const isNew = !sameJson(known, this.#known);
    this.#known = known;
    this.#isComplete ||= isComplete;
    const wanted = new Map(known.brokers.map((broker) => [keyOf(broker), broker]));
    for (const [key, runtime] of this.#runtimes) {
      if (wanted.get(key)?.uid === runtime.config.uid) continue;
      this.#runtimes.delete(key);
      await runtime.stop(0);
    }
    this.#errors.clear();
    for (const broker of known.brokers) await this.#serve(broker, known.triggers, isComplete);
    this.#retryLater();
    if (isComplete) this.#removeOtherLogs(known.brokers);
    if (isNew) await writeKnown(this.#knownPath, known);
  }

  async #serve(broker: BrokerConfig, triggers: readonly TriggerConfig[], isComplete: boolean): Promise<void> {
    const key = keyOf(broker);
    const own = triggers.filter((t) => t.namespace === broker.namespace && t.broker === broker.name);
    try {
      let runtime = this.#runtimes.get(key);
      if (!runtime) {
        runtime = this.#open(broker);
        // Its triggers' places are in the log already: nothing that is accepted from now on passes them by.
        this.#runtimes.set(key, runtime);
      }
      await runtime.setTriggers(own, isComplete);
    } catch (error) {
      this.#errors.set(key, messageOf(error));
      this.#options.log.error({ broker: key, err: error }, 'the broker cannot be served, trying again');
    }
  }

  #open(broker: BrokerConfig): BrokerRuntime {
    const { limits, onFailure, dir: _, ...shared } = this.#options;
    const log = shared.log.child({ broker: keyOf(broker) });
    const path = join(this.#logsDir, fileOf(broker));
    const events = new SqliteLog({ path, broker: keyOf(broker), limits, clock: shared.clock, log, onFailure });
    return new BrokerRuntime({ ...shared, config: broker, events, log });
  }

  #retryLater(): void {
    if (this.#errors.size === 0 || this.#cancelRetry) return;
    this.#cancelRetry = this.#options.clock.after(reopenDelayMs, () => {
      this.#cancelRetry = undefined;
      this.#apply(this.#known, this.#isComplete).catch((error) => {
        this.#options.log.error({ err: error }, 'brokers not changed');
      });
    });
  }

  #removeOtherLogs(brokers: readonly BrokerConfig[]): void {
    const kept = new Set(brokers.map(fileOf));
    for (const file of listFolder(this.#logsDir)) {
      if (kept.has(file.replace(/-(?:wal|shm|journal)$/, ''))) continue;
      this.#options.log.info({ file }, 'the broker is gone: its log is removed');
      rmSync(join(this.#logsDir, file), { force: true });
    }
  }
}

const keyOf = (broker: BrokerConfig) => `${broker.namespace}/${broker.name}`;
/** The uid makes a broker that is created anew start with an empty log. */
const fileOf = (broker: BrokerConfig) => `${broker.namespace}.${broker.name}.${broker.uid}.db`;

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
