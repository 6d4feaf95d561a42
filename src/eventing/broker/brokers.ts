import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { makeFolder } from '../../lib/durable.ts';
import { KittiwakeError, messageOf } from '../../lib/errors.ts';
import type { Quarantine } from '../../lib/quarantine.ts';
import { sameJson } from '../../lib/same-json.ts';
import type { Logger } from '../../observe/log.ts';
import type { Flush } from '../backends/sqlite/sqlite-file.ts';
import { type LogLimits, SqliteLog } from '../backends/sqlite/sqlite-log.ts';
import type { Poster } from '../http-client.ts';
import type { BrokerConfig, TriggerConfig } from './config.ts';
import { type Known, readKnown, writeKnown } from './known.ts';
import type { Backlog, BrokerMetrics } from './metrics.ts';
import { BrokerRuntime, type Served } from './runtime.ts';

export interface BrokersOptions {
  dir: string;
  poster: Poster;
  quarantine: Quarantine;
  gatewayUrl: string | undefined;
  inFlightMax: number;
  replyBytesMax: number;
  limits: LogLimits;
  fdatasync?: Flush;
  clock: Clock;
  log: Logger;
  metrics: BrokerMetrics;
  /** What is served has changed by itself: a log failed, or could be opened after all; an event was set aside. */
  onChange(): void;
}

const reopenDelayMs = 2000;

/**
 * All brokers of this process, kept as the last configuration says. What goes wrong with one of them (its log cannot be
 * opened, or fails at work; it ended the process twice and is set aside) stops that one: `find` and `served` say why,
 * and it is tried again every two seconds.
 */
export class Brokers {
  readonly #options: BrokersOptions;
  readonly #runtimes = new Map<string, BrokerRuntime>();
  readonly #errors = new Map<string, string>();
  #known: Known = { brokers: [], triggers: [] };
  #isKnownWritten = true;
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
    makeFolder(this.#options.dir); // Before anything is in it, and while nobody waits.
    let known: Known | undefined;
    try {
      known = readKnown(this.#knownPath);
    } catch (error) {
      // The API server tells everything again.
      this.#options.log.error({ file: this.#knownPath, err: error }, 'what was last known cannot be read');
    }
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

  /** Whether this trigger has its place in its broker's log, or why not; undefined when that is not known yet. */
  subscribed(trigger: TriggerConfig): Served | undefined {
    return this.#runtimes.get(`${trigger.namespace}/${trigger.broker}`)?.subscribed(trigger);
  }

  /** The trigger of that uid, as it was last set. */
  knownTrigger(uid: string | undefined): TriggerConfig | undefined {
    return this.#known.triggers.find((trigger) => trigger.uid === uid);
  }

  async backlogs(): Promise<Backlog[]> {
    const counted = [...this.#runtimes].map(async ([broker, runtime]) =>
      (await runtime.backlogs()).map((backlog) => ({ broker, ...backlog })),
    );
    return (await Promise.all(counted)).flat();
  }

  async stop(graceMs: number): Promise<void> {
    this.#isStopped = true;
    this.#cancelRetry?.();
    await this.#work;
    await Promise.all([...this.#runtimes.values()].map((runtime) => this.#end(runtime, graceMs)));
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
    if (!sameJson(known, this.#known)) this.#isKnownWritten = false;
    this.#known = known;
    this.#isComplete ||= isComplete;
    const wanted = new Map(known.brokers.map((broker) => [keyOf(broker), broker]));
    for (const key of this.#errors.keys()) if (!wanted.has(key)) this.#errors.delete(key);
    for (const [key, runtime] of this.#runtimes) {
      if (wanted.get(key)?.uid === runtime.config.uid) continue;
      this.#runtimes.delete(key);
      await this.#end(runtime, 0);
    }
    for (const broker of known.brokers) await this.#serve(broker, known.triggers, isComplete);
    if (isComplete) this.#removeOtherLogs(known.brokers);
    if (!this.#isKnownWritten) await this.#writeKnown();
    this.#retryLater();
  }

  async #serve(broker: BrokerConfig, triggers: readonly TriggerConfig[], isComplete: boolean): Promise<void> {
    const key = keyOf(broker);
    const own = triggers.filter((t) => t.namespace === broker.namespace && t.broker === broker.name);
    try {
      await this.#options.quarantine.run(`broker ${key}`, async () => {
        let runtime = this.#runtimes.get(key);
        if (!runtime) {
          runtime = this.#open(broker);
          // Its triggers' places are in the log already: nothing that is accepted from now on passes them by.
          this.#runtimes.set(key, runtime);
        }
        await runtime.setTriggers(own, isComplete);
      });
      if (this.#runtimes.has(key)) this.#errors.delete(key);
    } catch (error) {
      this.#fault(key, error);
    }
  }

  #fault(key: string, error: unknown): void {
    const message = messageOf(error);
    if (this.#errors.get(key) === message) return;
    this.#errors.set(key, message);
    this.#options.log.error({ broker: key, err: error }, 'the broker cannot be served, trying again');
  }

  #open(broker: BrokerConfig): BrokerRuntime {
    const { onChange, dir: _, ...shared } = this.#options;
    const log = shared.log.child({ broker: keyOf(broker) });
    const path = join(this.#logsDir, fileOf(broker));
    const onFailure = (error: unknown) => this.#onLogFailure(runtime, error);
    const events = new SqliteLog({ ...shared, path, broker: keyOf(broker), log, onFailure });
    const runtime: BrokerRuntime = new BrokerRuntime({ ...shared, config: broker, events, log, onSetAside: onChange });
    return runtime;
  }

  /** What the log holds is not known any more: it is closed, and opened anew a moment later. */
  #onLogFailure(runtime: BrokerRuntime, error: unknown): void {
    if (this.#runtimes.get(runtime.name) === runtime) this.#runtimes.delete(runtime.name);
    this.#fault(runtime.name, error);
    this.#work = this.#work.then(() => this.#end(runtime, 0));
    this.#retryLater();
    this.#options.onChange();
  }

  /** Never rejects: what cannot be closed in order is found again as after a crash. */
  async #end(runtime: BrokerRuntime, graceMs: number): Promise<void> {
    try {
      await runtime.stop(graceMs);
    } catch (error) {
      this.#options.log.error({ broker: runtime.name, err: error }, 'the broker did not stop in order');
    }
  }

  async #writeKnown(): Promise<void> {
    try {
      await writeKnown(this.#knownPath, this.#known);
      this.#isKnownWritten = true;
    } catch (error) {
      const fields = { file: this.#knownPath, err: error };
      this.#options.log.error(fields, 'what is known cannot be written: a start without the API server would not know');
    }
  }

  #retryLater(): void {
    const isDone =
      this.#isKnownWritten && this.#errors.size === 0 && this.#runtimes.values().every((r) => r.isComplete);
    if (isDone || this.#cancelRetry || this.#isStopped) return;
    this.#cancelRetry = this.#options.clock.after(reopenDelayMs, () => {
      this.#cancelRetry = undefined;
      this.#apply(this.#known, this.#isComplete).then(
        () => this.#options.onChange(),
        (error) => this.#options.log.error({ err: error }, 'brokers not changed'),
      );
    });
  }

  #removeOtherLogs(brokers: readonly BrokerConfig[]): void {
    const kept = new Set(brokers.map(fileOf));
    for (const file of listFolder(this.#logsDir)) {
      if (kept.has(file.replace(/-(?:wal|shm|journal)$/, ''))) continue;
      try {
        rmSync(join(this.#logsDir, file), { force: true });
        this.#options.log.info({ file }, 'the broker is gone: its log is removed');
      } catch (error) {
        this.#options.log.warn({ file, err: error }, 'the broker is gone: its log cannot be removed');
      }
    }
  }
}

const keyOf = (broker: BrokerConfig) => `${broker.namespace}/${broker.name}`;
/** The uid makes a broker that is created anew start with an empty log. */
const fileOf = (broker: BrokerConfig) => `${broker.namespace}.${broker.name}.${broker.uid}.db`;

/** What is in a folder; nothing where there is none, or where something else stands: then the brokers say so. */
function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
