import { ByteBudget } from '../../lib/byte-budget.ts';
import { type Clock, sleep } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import { UnsendableError } from '../../lib/http-client.ts';
import { type Quarantine, SetAsideError } from '../../lib/quarantine.ts';
import type { Logger } from '../../observe/log.ts';
import type { Delivery, Subscription } from '../backends/event-log.ts';
import { type Attributes, type CloudEvent, identityOf } from '../cloudevents/event.ts';
import type { Matches } from '../filters/filter.ts';
import { type Poster, type Target, targetOf } from '../poster.ts';
import { retryDelayMs } from './backoff.ts';
import { deadLetter } from './dead-letter.ts';
import { type Failure, type Outcome, outcomeOfError, unusable } from './outcome.ts';
import { post, type Sender } from './posting.ts';
import type { ReplySink } from './reply-sink.ts';
import { Slots } from './slots.ts';
import type { SubscriberConfig } from './subscriber.ts';

/** With what, and within which bounds, all dispatchers of a process deliver. */
export interface DeliveryMeans {
  poster: Poster;
  quarantine: Quarantine;
  gatewayUrl: string | undefined;
  inFlightMax: number;
  replyBytesMax: number;
  clock: Clock;
  log: Logger;
}

export interface DispatcherOptions extends DeliveryMeans {
  subscription: Subscription;
  /** Where the replies of the subscriber go; absent: nowhere, and nobody is asked for one. */
  reply?: ReplySink;
  /** `namespace/name` of what is subscribed to. */
  origin: string;
  config: SubscriberConfig;
  matches: Matches;
  /** The attributes with which an event is sent, where not all that are kept. */
  shown?(attributes: Attributes): Attributes;
  /** What is set aside has changed. */
  onSetAside?(): void;
  metrics: DispatchMetrics;
}

/** What a dispatcher counts. */
export interface DispatchMetrics {
  delivered(): void;
  retried(): void;
  deadLettered(): void;
  dropped(): void;
}

const takeCountMax = 64;
/** Events that are taken from the log and not done: in flight, or waiting for another attempt. */
const heldCountMax = 1024;
const heldBytesMax = 16 * 1024 * 1024;
/** Of the replies to these deliveries that are not complete yet. */
const repliesBytesMax = 8 * 1024 * 1024;
const deadLetterDelayMaxMs = 60_000;
/** What is set aside, or could not be brought to an end, is given back to the log for so long. */
const givenBackMs = 60_000;

/**
 * Delivers the events of one subscription to its subscriber, each at least once, in no promised order. All that
 * subscribe are this machine: triggers differ from the subscriptions of a channel in their filter and reply sink alone.
 *
 *     log ──take──▶ filter ──▶ attempt ──2xx──▶ reply sink ──▶ ack
 *                                │  ▲                           ▲
 *                          refused  └─backoff, without its slot │
 *                                └──retries used up──▶ dead letter (attempted until it is accepted)
 *
 * Whatever goes wrong with one event is a failed delivery of that event: nothing that comes of it is thrown past
 * `#handle`. An event that ended the process twice is set aside: it goes back to the log, the others go on.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #slots: Slots;
  readonly #sleeping = new AbortController();
  readonly #sending = new AbortController();
  readonly #replies = new ByteBudget(repliesBytesMax);
  #config!: SubscriberConfig;
  #matches!: Matches;
  #sender!: Sender;
  #subscriber: Target | undefined;
  #deadLetterSink: Target | undefined;
  #changed = Promise.withResolvers<void>();
  #buffer: readonly Delivery[] = [];
  #bufferAt = 0;
  #isPumping = false;
  #mustPumpAgain = false;
  /** An array, in which nothing of what was held is left: what a Set has deleted, its tables refer to for long. */
  readonly #held: Delivery[] = [];
  #heldBytes = 0;
  /** Called when nothing is held any more. */
  #onDrained = () => {};
  /** The names of the work that the quarantine leaves alone. */
  readonly #setAside = new Set<string>();
  #cancelExtension: (() => void) | undefined;
  readonly #stopListening: () => void;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#slots = new Slots(options.inFlightMax);
    this.update(options.config, options.matches);
    options.subscription.onReady(() => this.pump());
    this.#stopListening = options.quarantine.onRelease((name) => this.#release(name));
    this.#extendLater();
  }

  /** Takes effect for the next attempt of every event. */
  update(config: SubscriberConfig, matches: Matches): void {
    const { gatewayUrl, poster, replyBytesMax, clock } = this.#options;
    const { namespace, delivery, subscriber, deadLetterSink } = config;
    const target = subscriber && targetOf(subscriber.uri, { gatewayUrl, ca: subscriber.ca });
    const sink = deadLetterSink?.uri ? targetOf(deadLetterSink.uri, { gatewayUrl, ca: deadLetterSink.ca }) : undefined;
    this.#config = config;
    this.#matches = matches;
    this.#subscriber = target;
    this.#deadLetterSink = sink;
    const bounds = { replyBytesMax, budget: this.#replies, signal: this.#sending.signal };
    this.#sender = { poster, namespace, delivery, ...bounds, clock };
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
    this.pump();
  }

  /** Events of the log that the subscriber is not past. */
  backlog(): Promise<number> {
    return this.#options.subscription.backlog();
  }

  /** The names of the deliveries that are left alone, as they ended the process twice. */
  get setAside(): string[] {
    return [...this.#setAside];
  }

  /** Starts what can be started; called whenever there may be more to do. */
  pump(): void {
    if (this.#isPumping) {
      this.#mustPumpAgain = true;
      return;
    }
    this.#isPumping = true;
    void this.#pump(); // It catches all that reading and starting can throw.
  }

  /** Lets attempts that are on their way end within `graceMs`; what is not done then comes again at the next start. */
  async stop(graceMs: number): Promise<void> {
    this.#sleeping.abort();
    this.#changed.resolve();
    this.#stopListening();
    this.#cancelExtension?.();
    const timer = setTimeout(() => this.#sending.abort(), graceMs);
    await new Promise<void>((resolve) => {
      this.#onDrained = resolve;
      this.#tellIfDrained();
    });
    clearTimeout(timer);
    await this.#options.subscription.close();
  }

  async #pump(): Promise<void> {
    do {
      this.#mustPumpAgain = false;
      try {
        await this.#startAll();
      } catch (error) {
        this.#options.log.error({ err: error }, 'the log cannot be read, trying again');
        this.#options.clock.after(1000, () => this.pump());
      }
    } while (this.#mustPumpAgain);
    this.#isPumping = false;
  }

  async #startAll(): Promise<void> {
    const { subscription } = this.#options;
    while (this.#canStart()) {
      const taken = this.#buffer[this.#bufferAt];
      if (taken === undefined) {
        this.#buffer = await subscription.take(takeCountMax);
        this.#bufferAt = 0;
        if (this.#buffer.length === 0) return;
        continue;
      }
      this.#bufferAt++;
      const wanted = this.#isWanted(taken);
      if (wanted === false) subscription.ack(taken);
      else this.#start(taken, wanted === true ? undefined : wanted);
    }
  }

  /** Whether the subscriber wants the event, or why that cannot be told. */
  #isWanted(taken: Delivery): boolean | Failure {
    if (taken.damage !== undefined) return unusable(`the log cannot tell what it was: ${taken.damage}`);
    try {
      return this.#matches(taken.event);
    } catch (error) {
      return unusable(`the filter fails at it: ${messageOf(error)}`);
    }
  }

  #canStart(): boolean {
    if (this.#sleeping.signal.aborted || !this.#subscriber) return false;
    if (this.#held.length >= heldCountMax || this.#heldBytes >= heldBytesMax) return false;
    return this.#slots.isOneFree;
  }

  #start(taken: Delivery, failed?: Failure): void {
    this.#held.push(taken);
    this.#heldBytes += taken.sizeBytes;
    void this.#handle(taken, failed); // It catches all that delivering can throw.
  }

  #end(taken: Delivery): void {
    this.#slots.release();
    this.#held[this.#held.indexOf(taken)] = this.#held.at(-1) as Delivery;
    this.#held.pop();
    this.#heldBytes -= taken.sizeBytes;
    this.#tellIfDrained();
    this.pump();
  }

  #tellIfDrained(): void {
    if (this.#held.length === 0) this.#onDrained();
  }

  /** Asks in time for more of it, where deliveries have a deadline: for all that were taken and are not done. */
  #extendLater(): void {
    const { subscription, clock } = this.#options;
    if (subscription.deadlineMs === undefined) return;
    this.#cancelExtension = clock.after(subscription.deadlineMs / 3, () => {
      for (const taken of this.#held) subscription.extend(taken);
      for (let i = this.#bufferAt; i < this.#buffer.length; i++) subscription.extend(this.#buffer[i] as Delivery);
      this.#extendLater();
    });
  }

  /** The one place where work on an event is wrapped: it never throws. `failed` is why there is nothing to attempt. */
  async #handle(taken: Delivery, failed: Failure | undefined): Promise<void> {
    const { subscription, metrics, log } = this.#options;
    await this.#slots.take();
    try {
      const outcome = failed ?? (await this.#deliver(taken));
      if (outcome.kind === 'delivered') metrics.delivered();
      // Who stops at the same time as its subscriber must not give up an event for that.
      else if (this.#sleeping.signal.aborted) return;
      else await this.#giveUp(taken, outcome);
      subscription.ack(taken);
    } catch (error) {
      // Stopping interrupts waits and attempts: the event is not done, so it comes again.
      if (this.#sleeping.signal.aborted) return;
      if (error instanceof SetAsideError) this.#keepAside(taken, error);
      else log.error({ ...identityOf(taken.event), err: error }, 'event not done: it comes again later');
      subscription.nack(taken, givenBackMs);
    } finally {
      this.#end(taken);
    }
  }

  #keepAside(taken: Delivery, error: SetAsideError): void {
    if (this.#setAside.has(error.work)) return;
    this.#setAside.add(error.work);
    const fields = { ...identityOf(taken.event), offset: taken.offset, reason: error.message };
    this.#options.log.error(fields, 'event set aside: it is kept and not delivered');
    this.#options.onSetAside?.();
  }

  #release(name: string): void {
    if (!this.#setAside.delete(name)) return;
    this.#options.log.info({ work: name }, 'event released: it is delivered');
    this.#options.onSetAside?.();
    this.#options.subscription.retryNow();
  }

  async #deliver(taken: Delivery): Promise<Outcome> {
    for (let retry = 1; ; retry++) {
      const outcome = await this.#attempt(taken);
      const { delivery } = this.#config;
      if (outcome.kind === 'delivered' || !outcome.canRetry || retry > delivery.retries) return outcome;
      this.#options.metrics.retried();
      this.#options.log.debug({ ...identityOf(taken.event), retry, reason: outcome.why }, 'delivery failed, retrying');
      const asked = Math.min(outcome.retryAfterMs, delivery.retryAfterMaxMs);
      await this.#wait(Math.max(asked, retryDelayMs(delivery, retry)));
    }
  }

  async #attempt(taken: Delivery): Promise<Outcome> {
    const { reply: sink } = this.#options;
    while (!this.#subscriber) await this.#untilChanged();
    const to = this.#subscriber;
    return this.#guarded(taken, async () => {
      const letter = { to, event: this.#shown(taken.event), headers: taken.headers, isReplyWanted: sink !== undefined };
      const outcome = await post(letter, this.#sender);
      if (outcome.kind === 'failed' || !outcome.reply || !sink) return outcome;
      const reply = { event: outcome.reply, rawHeaders: outcome.rawHeaders, cause: taken };
      return (await sink(reply, this.#sender)) ?? outcome;
    });
  }

  #shown(event: CloudEvent): CloudEvent {
    const { shown } = this.#options;
    return shown ? { ...event, attributes: shown(event.attributes) } : event;
  }

  /** Everything that `work` throws is a failed delivery, but for being stopped and being set aside. */
  async #guarded(taken: Delivery, work: () => Promise<Outcome>): Promise<Outcome> {
    const { quarantine, origin, log } = this.#options;
    const identity = identityOf(taken.event);
    const name = `event ${origin} ${this.#config.name} ${identity.source} ${identity.id}`;
    try {
      return await quarantine.run(name, work);
    } catch (error) {
      if (error instanceof SetAsideError || this.#sleeping.signal.aborted) throw error;
      if (!(error instanceof UnsendableError)) log.error({ ...identity, err: error }, 'an attempt to deliver failed');
      return outcomeOfError(error);
    }
  }

  /** Hands the event to the dead letter sink, for as long as it takes; without one it is lost, as Knative has it. */
  async #giveUp(taken: Delivery, last: Failure): Promise<void> {
    const { log, metrics } = this.#options;
    if (!this.#config.deadLetterSink) return this.#drop(taken, last, 'there is no dead letter sink');
    if (taken.damage !== undefined) return this.#drop(taken, last, 'nothing is left of it to be a dead letter');
    const fields = { ...identityOf(taken.event), code: last.code, reason: last.why };
    log.warn(fields, 'event cannot be delivered: it goes to the dead letter sink');
    const event = deadLetter(this.#shown(taken.event), this.#config.subscriber?.uri ?? '', last);
    for (let retry = 1; ; retry++) {
      while (this.#config.deadLetterSink && !this.#deadLetterSink) await this.#untilChanged();
      const sink = this.#deadLetterSink;
      if (!sink) return this.#giveUp(taken, last);
      const letter = { to: sink, event, headers: taken.headers, isReplyWanted: true };
      const outcome = await this.#guarded(taken, () => post(letter, this.#sender));
      if (outcome.kind === 'delivered') return metrics.deadLettered();
      if (outcome.isUnsendable) return this.#drop(taken, outcome, 'it cannot be sent as a dead letter either');
      const { delivery } = this.#config;
      if (retry === delivery.retries + 1) {
        log.error(
          { ...fields, sink: outcome.why },
          'the dead letter sink refuses the event: it is kept and tried again',
        );
      }
      const delayMs = Math.min(deadLetterDelayMaxMs, retryDelayMs(delivery, retry));
      await this.#wait(Math.max(delayMs, retry > delivery.retries ? 1000 : 0));
    }
  }

  #drop(taken: Delivery, { code, why }: Failure, end: string): void {
    this.#options.metrics.dropped();
    const fields = { ...identityOf(taken.event), offset: taken.offset, code, reason: why };
    this.#options.log.warn(fields, `event dropped: it cannot be delivered, and ${end}`);
  }

  /** Waits without a slot, so that others are delivered meanwhile. */
  async #wait(delayMs: number): Promise<void> {
    this.#slots.release();
    this.pump();
    try {
      await sleep(this.#options.clock, delayMs, this.#sleeping.signal);
    } finally {
      await this.#slots.take();
    }
  }

  /** Until `update` is called, or `stop`: asked again then, it throws. */
  #untilChanged(): Promise<void> {
    this.#sleeping.signal.throwIfAborted();
    return this.#changed.promise;
  }
}
