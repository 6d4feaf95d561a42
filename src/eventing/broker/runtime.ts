import { messageOf } from '../../lib/errors.ts';
import type { Consumer, EventLog, NewEvent } from '../backends/event-log.ts';
import { type DeliveryMeans, Dispatcher } from '../dispatcher/dispatcher.ts';
import type { ReplySink } from '../dispatcher/reply-sink.ts';
import { compileFilter } from '../filters/filter.ts';
import type { BrokerConfig, TriggerConfig } from './config.ts';
import type { Backlog, BrokerMetrics } from './metrics.ts';
import { claimOf, ownerOf, ownerTextOf } from './owner.ts';
import { replyToLog } from './reply-to-log.ts';
import { withoutTtl } from './time-to-live.ts';

export interface RuntimeOptions extends DeliveryMeans {
  config: BrokerConfig;
  events: EventLog;
  /** What is set aside of some trigger has changed. */
  onSetAside?(): void;
  metrics: BrokerMetrics;
}

/** How one broker or trigger fares here, for its status. */
export interface Served {
  uid: string;
  error?: string;
  /** The names of deliveries that ended the process twice. */
  setAside?: readonly string[];
}

/** What is known of who is gone, and where we are. */
export interface Facts {
  platform: string | undefined;
  /** Whether the deletion of the object with this uid was seen. */
  isDeleted(uid: string): boolean;
  /** Whether the trigger is gone, by its deletion or by its absence for long. */
  isGone(consumer: string, uid: string): boolean;
}

/** One broker at work: its log, and a dispatcher for each of its triggers. */
export class BrokerRuntime {
  readonly #options: RuntimeOptions;
  readonly #dispatchers = new Map<string, Running>();
  /** Why a trigger is not served as it should be, by consumer. */
  readonly #errors = new Map<string, string>();
  #absent: Consumer[] = [];
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
    await this.#options.events.append(event);
  }

  /**
   * Makes `triggers` the ones that are served. Resolves when each has its durable place in the log: every event that
   * is accepted from then on reaches it. A trigger that was deleted and made again starts at the end. The places of
   * triggers that are not named are kept until they are gone. What goes wrong with one trigger is told by `subscribed`;
   * it keeps its place, too.
   */
  async setTriggers(triggers: readonly TriggerConfig[], facts: Facts): Promise<void> {
    const wanted = new Map(triggers.map((trigger) => [consumerOf(trigger), trigger]));
    for (const [consumer, { uid }] of this.#dispatchers) {
      if (wanted.get(consumer)?.uid !== uid) await this.#stopDispatcher(consumer);
    }
    for (const consumer of this.#errors.keys()) if (!wanted.has(consumer)) this.#errors.delete(consumer);
    const owners = await this.#owners();
    for (const [consumer, trigger] of wanted) {
      try {
        await this.#setTrigger(trigger, owners.get(consumer), facts);
        this.#errors.delete(consumer);
      } catch (error) {
        this.#errors.set(consumer, messageOf(error));
        const fields = { trigger: consumer, err: error };
        this.#options.log.error(fields, 'the trigger cannot be served, trying again');
      }
    }
    for (const consumer of wanted.keys()) owners.delete(consumer);
    await this.#forgetGone(owners, facts);
  }

  /** The places that are kept for triggers which were not among those that were set last. */
  get absent(): readonly Consumer[] {
    return this.#absent;
  }

  /** Whether the trigger has its place in the log, or why it is not served; undefined when that is not known yet. */
  subscribed(trigger: TriggerConfig): Served | undefined {
    const consumer = consumerOf(trigger);
    const error = this.#errors.get(consumer);
    if (error !== undefined) return { uid: trigger.uid, error };
    const running = this.#dispatchers.get(consumer);
    if (running?.uid !== trigger.uid) return undefined;
    const { setAside } = running.dispatcher;
    return { uid: trigger.uid, ...(setAside.length > 0 && { setAside }) };
  }

  /** Whether every trigger is served as it should be. */
  get isComplete(): boolean {
    return this.#errors.size === 0;
  }

  /** Of the triggers whose log tells how much it is. */
  async backlogs(): Promise<Omit<Backlog, 'broker'>[]> {
    const counted = [...this.#dispatchers].map(async ([trigger, { dispatcher }]) => {
      return { trigger, events: await dispatcher.backlog(), setAside: dispatcher.setAside.length };
    });
    return (await Promise.allSettled(counted)).flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  }

  async stop(graceMs: number): Promise<void> {
    await Promise.all([...this.#dispatchers.values()].map(({ dispatcher }) => dispatcher.stop(graceMs)));
    this.#dispatchers.clear();
    await this.#options.events.close();
  }

  async #owners(): Promise<Map<string, string>> {
    const consumers = await this.#options.events.consumers();
    return new Map(consumers.map(({ name, owner }) => [name, owner]));
  }

  async #forgetGone(others: ReadonlyMap<string, string>, facts: Facts): Promise<void> {
    this.#absent = [];
    for (const [consumer, owner] of others) {
      if (facts.isGone(consumer, ownerOf(owner).uid)) await this.#options.events.forget(consumer);
      else this.#absent.push({ name: consumer, owner });
    }
  }

  async #stopDispatcher(consumer: string): Promise<void> {
    const running = this.#dispatchers.get(consumer);
    this.#dispatchers.delete(consumer);
    await running?.dispatcher.stop(0);
  }

  /** `kept` is whose place the log has under this name. */
  async #setTrigger(config: TriggerConfig, kept: string | undefined, facts: Facts): Promise<void> {
    const { events, metrics, log, config: _, ...shared } = this.#options;
    const consumer = consumerOf(config);
    const filter = compileFilter(config.filter);
    if ('unsupported' in filter) {
      // Its status says so. It holds no place: events that nothing can ever consume would fill the log.
      await this.#stopDispatcher(consumer);
      if (kept !== undefined) await events.forget(consumer);
      return;
    }
    const running = this.#dispatchers.get(consumer);
    if (running) {
      running.dispatcher.update(config, filter.matches);
      return;
    }
    const owner = { uid: config.uid, platform: facts.platform };
    const isReplaced = claimOf(kept, owner, facts.isDeleted) === 'replaced';
    if (isReplaced) await events.forget(consumer);
    const subscription = await events.subscribe(consumer, ownerTextOf(isReplaced ? undefined : kept, owner));
    try {
      const dispatcher = new Dispatcher({
        ...shared,
        subscription,
        reply: this.#reply,
        origin: this.name,
        config,
        matches: filter.matches,
        shown: withoutTtl,
        log: log.child({ trigger: consumer }),
        metrics: metrics.ofTrigger(this.name, consumer),
      });
      this.#dispatchers.set(consumer, { uid: config.uid, dispatcher });
    } catch (error) {
      await subscription.close();
      throw error;
    }
  }
}

interface Running {
  uid: string;
  dispatcher: Dispatcher;
}

const consumerOf = ({ namespace, name }: TriggerConfig) => `${namespace}/${name}`;
