import type { Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Quarantine } from '../../lib/quarantine.ts';
import type { Logger } from '../../observe/log.ts';
import type { EventLog, NewEvent } from '../backends/event-log.ts';
import { compileFilter } from '../filters/filter.ts';
import type { Poster } from '../http-client.ts';
import type { BrokerConfig, TriggerConfig } from './config.ts';
import { Dispatcher } from './dispatcher.ts';
import type { Backlog, BrokerMetrics } from './metrics.ts';
import { type ReplySink, replyToLog } from './reply-sink.ts';

export interface RuntimeOptions {
  config: BrokerConfig;
  events: EventLog;
  poster: Poster;
  quarantine: Quarantine;
  /** What is set aside of some trigger has changed. */
  onSetAside?(): void;
  gatewayUrl: string | undefined;
  inFlightMax: number;
  replyBytesMax: number;
  clock: Clock;
  log: Logger;
  metrics: BrokerMetrics;
}

/** How one broker or trigger fares here, for its status. */
export interface Served {
  uid: string;
  error?: string;
  /** The names of deliveries that ended the process twice. */
  setAside?: readonly string[];
}

/** One broker at work: its log, and a dispatcher for each of its triggers. */
export class BrokerRuntime {
  readonly #options: RuntimeOptions;
  readonly #dispatchers = new Map<string, { trigger: string; dispatcher: Dispatcher }>();
  /** Why a trigger is not served as it should be, by consumer. */
  readonly #errors = new Map<string, string>();
  readonly #reply: ReplySink;

  constructor(options: RuntimeOptions) {
    this.#options = options;
    this.#reply = replyToLog(options.events, options.clock);
  }

  get config(): BrokerConfig {
    return this.#options.config;
  }

  /** `namespace/name`. */
  get name(): string {
    return `${this.config.namespace}/${this.config.name}`;
  }

  /** Resolves once the event is on disk. */
  async accept(event: NewEvent): Promise<void> {
    await this.#options.events.append([event]);
  }

  /**
   * Makes `triggers` the ones that are served. Resolves when each has its durable place in the log: every event that
   * is accepted from then on reaches it. A trigger of another uid is another consumer, which starts at the end. Unless
   * `isComplete`, there may be triggers that are not named here: their places are kept. What goes wrong with one
   * trigger is told by `subscribed`; it keeps its place, too.
   */
  async setTriggers(triggers: readonly TriggerConfig[], isComplete: boolean): Promise<void> {
    const wanted = new Map(triggers.map((trigger) => [consumerOf(trigger), trigger]));
    for (const [consumer, { dispatcher }] of this.#dispatchers) {
      if (wanted.has(consumer)) continue;
      this.#dispatchers.delete(consumer);
      await dispatcher.stop(0);
    }
    for (const consumer of this.#errors.keys()) if (!wanted.has(consumer)) this.#errors.delete(consumer);
    for (const [consumer, trigger] of wanted) {
      try {
        await this.#setTrigger(consumer, trigger);
        this.#errors.delete(consumer);
      } catch (error) {
        this.#errors.set(consumer, messageOf(error));
        const fields = { trigger: `${trigger.namespace}/${trigger.name}`, err: error };
        this.#options.log.error(fields, 'the trigger cannot be served, trying again');
      }
    }
    if (isComplete) await this.#forgetOthers();
  }

  /** Whether the trigger has its place in the log, or why it is not served; undefined when that is not known yet. */
  subscribed(trigger: TriggerConfig): Served | undefined {
    const consumer = consumerOf(trigger);
    const error = this.#errors.get(consumer);
    if (error !== undefined) return { uid: trigger.uid, error };
    const running = this.#dispatchers.get(consumer);
    if (!running) return undefined;
    const { setAside } = running.dispatcher;
    return { uid: trigger.uid, ...(setAside.length > 0 && { setAside }) };
  }

  /** Whether every trigger is served as it should be. */
  get isComplete(): boolean {
    return this.#errors.size === 0;
  }

  /** Of the triggers whose log tells how much it is. */
  async backlogs(): Promise<Omit<Backlog, 'broker'>[]> {
    const counted = [...this.#dispatchers.values()].map(async ({ trigger, dispatcher }) => {
      return { trigger, events: await dispatcher.backlog(), setAside: dispatcher.setAside.length };
    });
    return (await Promise.allSettled(counted)).flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  }

  async stop(graceMs: number): Promise<void> {
    await Promise.all([...this.#dispatchers.values()].map(({ dispatcher }) => dispatcher.stop(graceMs)));
    this.#dispatchers.clear();
    await this.#options.events.close();
  }

  async #forgetOthers(): Promise<void> {
    const { events } = this.#options;
    for (const { name } of await events.consumers()) {
      if (!this.#dispatchers.has(name) && !this.#errors.has(name)) await events.forget(name);
    }
  }

  async #setTrigger(consumer: string, config: TriggerConfig): Promise<void> {
    const filter = compileFilter(config.filter);
    const running = this.#dispatchers.get(consumer);
    if ('unsupported' in filter) {
      // Its status says so. It holds no place: events that nothing can ever consume would fill the log.
      this.#dispatchers.delete(consumer);
      await running?.dispatcher.stop(0);
      return;
    }
    if (running) {
      running.dispatcher.update(config, filter.matches);
      return;
    }
    const { events, metrics, log, config: _, ...shared } = this.#options;
    const trigger = `${config.namespace}/${config.name}`;
    const dispatcher = new Dispatcher({
      ...shared,
      subscription: await events.subscribe(consumer, config.uid),
      reply: this.#reply,
      origin: this.name,
      config,
      matches: filter.matches,
      log: log.child({ trigger }),
      metrics: metrics.ofTrigger(this.name, trigger),
    });
    this.#dispatchers.set(consumer, { trigger, dispatcher });
  }
}

const consumerOf = (trigger: TriggerConfig) => `${trigger.name}/${trigger.uid}`;
