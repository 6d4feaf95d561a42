import { join } from 'node:path';
import { makeFolder } from '../../lib/durable.ts';
import { type KittiwakeError, messageOf } from '../../lib/errors.ts';
import { sameJson } from '../../lib/same-json.ts';
import type { LogBackend, LogName } from '../backends/event-log.ts';
import type { DeliveryMeans } from '../dispatcher/dispatcher.ts';
import { eventErrors } from '../errors.ts';
import { Absences } from './absences.ts';
import type { BrokerConfig, TriggerConfig } from './config.ts';
import { type Known, readKnown, writeKnown } from './known.ts';
import type { Backlog, BrokerMetrics } from './metrics.ts';
import { claimOf, ownerOf, ownerText, ownerTextOf } from './owner.ts';
import { BrokerRuntime, type Facts, type Served } from './runtime.ts';

export interface BrokersOptions extends DeliveryMeans {
  /** For what was last known of the API. */
  dir: string;
  backend: LogBackend;
  metrics: BrokerMetrics;
  /** What is served has changed by itself: a log failed, or could be opened after all; an event was set aside. */
  onChange(): void;
}

const reopenDelayMs = 2000;
/** Of deletions that were seen while what they are of could not be opened; an older one counts as an absence. */
const deletedCountMax = 10_000;

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
  #absences = new Absences();
  /** The uids of what was seen to be deleted, until nothing is kept for them. */
  readonly #deleted = new Set<string>();
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
    if (!known) return;
    this.#absences = new Absences(known.absent);
    await this.#apply(known, false);
  }

  /**
   * Serves exactly what the API server has. What is kept for others is removed when their uid is in `deleted`: they
   * were seen to be deleted; else it is absent, until it is there again or was looked for long enough.
   */
  async set(known: Known, deleted: Iterable<string> = []): Promise<void> {
    for (const uid of deleted) this.#deleted.add(uid);
    await this.#apply(known, true);
  }

  /** Whether anything is kept for what no list shows. */
  get hasAbsent(): boolean {
    return this.#absences.all.length > 0;
  }

  /** Somebody has looked at all that there is, anew; `names` are those of `Absence`. */
  async looked(names: ReadonlySet<string>): Promise<void> {
    this.#absences.looked((name) => names.has(name));
    this.#isKnownWritten = false;
    await this.#apply(this.#known, true);
  }

  find(namespace: string, name: string): BrokerRuntime | KittiwakeError {
    const key = `${namespace}/${name}`;
    const runtime = this.#runtimes.get(key);
    if (runtime) return runtime;
    const error = this.#errors.get(key);
    if (error !== undefined) return eventErrors.BROKER_NOT_READY({ broker: key, why: error });
    if (!this.#isComplete) {
      return eventErrors.BROKER_NOT_READY({ broker: key, why: 'the broker is starting' });
    }
    return eventErrors.BROKER_NOT_FOUND({ namespace, name });
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

  /** One change after the other. */
  #apply(known: Known, isComplete: boolean): Promise<void> {
    const work = this.#work.then(() => (this.#isStopped ? undefined : this.#change(known, isComplete)));
    // A change that failed must not keep the next one from running; its caller hears of it.
    this.#work = work.catch(() => {});
    return work;
  }

  async #change(known: Known, isComplete: boolean): Promise<void> {
    const before = this.#known;
    if (!sameJson(told(known), told(before))) this.#isKnownWritten = false;
    this.#known = known;
    this.#isComplete ||= isComplete;
    const wanted = new Map(known.brokers.map((broker) => [keyOf(broker), broker]));
    for (const key of this.#errors.keys()) if (!wanted.has(key)) this.#errors.delete(key);
    for (const [key, runtime] of this.#runtimes) {
      if (wanted.get(key)?.uid === runtime.config.uid) continue;
      this.#runtimes.delete(key);
      await this.#end(runtime, 0);
    }
    for (const broker of known.brokers) await this.#serve(broker, known.triggers);
    if (isComplete) await this.#removeGone(wanted, before);
    if (!this.#isKnownWritten) await this.#writeKnown();
    this.#forgetDeleted(known);
    this.#retryLater();
  }

  async #serve(broker: BrokerConfig, triggers: readonly TriggerConfig[]): Promise<void> {
    const key = keyOf(broker);
    const own = triggers.filter((t) => t.namespace === broker.namespace && t.broker === broker.name);
    try {
      await this.#options.quarantine.run(`broker ${key}`, async () => {
        let runtime = this.#runtimes.get(key);
        if (!runtime) {
          runtime = await this.#open(broker);
          // Its triggers' places are in the log already: nothing that is accepted from now on passes them by.
          this.#runtimes.set(key, runtime);
        }
        await runtime.setTriggers(own, this.#factsOf(key));
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

  async #open(broker: BrokerConfig): Promise<BrokerRuntime> {
    const { onChange, backend, dir: _, ...shared } = this.#options;
    const log = shared.log.child({ broker: keyOf(broker) });
    let runtime: BrokerRuntime | undefined;
    // Before there is one, opening itself fails.
    const onFailure = (error: unknown) => runtime && this.#onLogFailure(runtime, error);
    const open = () => backend.open(nameOf(broker), { log, onFailure });
    let events = await open();
    try {
      const owner = { uid: broker.uid, platform: this.#known.platform };
      const claim = claimOf(events.owner, owner, (uid) => this.#deleted.has(uid));
      if (claim !== 'same') log.info({ claim, before: events.owner, now: owner }, 'the broker has another uid');
      if (claim === 'replaced') {
        await events.close();
        await backend.remove(nameOf(broker));
        events = await open();
      }
      const text = ownerTextOf(events.owner, owner);
      if (events.owner !== text) await events.adopt(text);
    } catch (error) {
      await events.close();
      throw error;
    }
    runtime = new BrokerRuntime({ ...shared, config: broker, events, log, onSetAside: onChange });
    return runtime;
  }

  #factsOf(broker: string): Facts {
    const { platform } = this.#known;
    const isDeleted = (uid: string) => this.#deleted.has(uid);
    const isGone = (consumer: string, uid: string) =>
      isDeleted(uid) || this.#absences.isOver(triggerName(consumer, broker), platform);
    return { platform, isDeleted, isGone };
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

  /** Removes the logs of brokers that are gone, and puts down what is absent. */
  async #removeGone(wanted: ReadonlyMap<string, BrokerConfig>, before: Known): Promise<void> {
    const absent: { name: string; owner: string }[] = [];
    for (const [key, runtime] of this.#runtimes) {
      for (const { name, owner } of runtime.absent) absent.push({ name: triggerName(name, key), owner });
    }
    const uids = new Map(before.brokers.map((broker) => [keyOf(broker), broker.uid]));
    for (const log of await this.#options.backend.list()) {
      const key = `${log.namespace}/${log.name}`;
      if (wanted.has(key)) continue;
      const name = brokerName(key);
      const uid = uids.get(key);
      const owner = uid === undefined ? this.#absences.ownerOf(name) : ownerText({ ...before, uid });
      if (await this.#removeIfGone(log, name, owner)) continue;
      absent.push({ name, owner: owner ?? '' });
    }
    this.#absences.set(absent);
    if (!sameJson(this.#absences.all, before.absent ?? [])) this.#isKnownWritten = false;
    this.#known = { ...this.#known, absent: this.#absences.all };
  }

  async #removeIfGone(log: LogName, name: string, owner: string | undefined): Promise<boolean> {
    const isDeleted = owner !== undefined && this.#deleted.has(ownerOf(owner).uid);
    if (!isDeleted && !this.#absences.isOver(name, this.#known.platform)) return false;
    try {
      await this.#options.backend.remove(log);
      this.#options.log.info({ log, owner, isDeleted }, 'the broker is gone: its log is removed');
      return true;
    } catch (error) {
      this.#options.log.warn({ log, err: error }, 'the broker is gone: its log cannot be removed');
      return false;
    }
  }

  /** A deletion has done its work when all could be opened and nothing that was told has the uid any more. */
  #forgetDeleted({ brokers, triggers }: Known): void {
    const isDone = this.#errors.size === 0 && this.#runtimes.values().every((runtime) => runtime.isComplete);
    const present = new Set([...brokers, ...triggers].map(({ uid }) => uid));
    for (const uid of this.#deleted) {
      if ((isDone && !present.has(uid)) || this.#deleted.size > deletedCountMax) this.#deleted.delete(uid);
    }
  }
}

/** What was told, without what we put down ourselves. */
const told = ({ brokers, triggers, platform }: Known) => ({ brokers, triggers, platform });
/** What an `Absence` of a broker is called; `key` is its `namespace/name`. */
export const brokerName = (key: string) => `broker ${key}`;
/** The same of a trigger, of the broker `broker`. */
export const triggerName = (key: string, broker: string) => `trigger ${key} of ${broker}`;
const nameOf = ({ namespace, name }: BrokerConfig): LogName => ({ namespace, name });
const keyOf = (broker: BrokerConfig) => `${broker.namespace}/${broker.name}`;
