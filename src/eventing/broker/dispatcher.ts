import { type Clock, sleep } from '../../lib/clock.ts';
import { KittiwakeError, messageOf } from '../../lib/errors.ts';
import { type Quarantine, SetAsideError } from '../../lib/quarantine.ts';
import type { Logger } from '../../observe/log.ts';
import type { Cursor, EventLog, Offset, StoredEvent } from '../backends/event-log.ts';
import { ByteBudget } from '../byte-budget.ts';
import { type CloudEvent, identityOf } from '../cloudevents/event.ts';
import { encode, type HttpEvent } from '../cloudevents/http.ts';
import type { Matches } from '../filters/filter.ts';
import { NoReplyError, type Poster, type Target, targetOf, UnsendableError } from '../http-client.ts';
import { retryDelayMs } from './backoff.ts';
import type { TriggerConfig } from './config.ts';
import { deadLetter } from './dead-letter.ts';
import type { TriggerMetrics } from './metrics.ts';
import {
  type Failure,
  failure,
  type Outcome,
  outcomeOf,
  outcomeOfError,
  outcomeOfNoReply,
  unusable,
} from './outcome.ts';
import { nextHop, replyHeaders } from './pass-through.ts';
import { Slots } from './slots.ts';
import { nextTtl, ttlAttribute, withoutTtl } from './time-to-live.ts';

export interface DispatcherOptions {
  events: EventLog;
  cursor: Cursor;
  /** `namespace/name` of the broker. */
  broker: string;
  config: TriggerConfig;
  matches: Matches;
  quarantine: Quarantine;
  /** What is set aside has changed. */
  onSetAside?(): void;
  poster: Poster;
  gatewayUrl: string | undefined;
  inFlightMax: number;
  replyBytesMax: number;
  clock: Clock;
  log: Logger;
  metrics: TriggerMetrics;
}

const readCountMax = 64;
/** Events that are taken from the log and not done: in flight, or waiting for another attempt. */
const heldCountMax = 1024;
const heldBytesMax = 16 * 1024 * 1024;
/** Of the replies to this trigger's deliveries that are not complete yet. */
const repliesBytesMax = 8 * 1024 * 1024;
const deadLetterDelayMaxMs = 60_000;

/**
 * Delivers a broker's events to the subscriber of one trigger, each at least once, in no promised order.
 *
 *     log ──read──▶ filter ──▶ attempt ──2xx──▶ reply appended ──▶ done (the cursor moves)
 *                                │  ▲                               ▲
 *                          refused  └─backoff, without its slot     │
 *                                └──retries used up──▶ dead letter ─┘ (attempted until it is accepted)
 *
 * Whatever goes wrong with one event is a failed delivery of that event: nothing that comes of it is thrown past
 * `#handle`. An event that ended the process twice is set aside: the cursor does not pass it, the others go on.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #slots: Slots;
  readonly #sleeping = new AbortController();
  readonly #sending = new AbortController();
  #config!: TriggerConfig;
  #matches!: Matches;
  #subscriber: Target | undefined;
  #deadLetterSink: Target | undefined;
  #changed = Promise.withResolvers<void>();
  #next: Offset;
  #buffer: readonly StoredEvent[] = [];
  #bufferAt = 0;
  #isPumping = false;
  #mustPumpAgain = false;
  #heldCount = 0;
  #heldBytes = 0;
  readonly #running = new Set<Promise<void>>();
  /** The offsets of what the quarantine leaves alone, by the name of the work. */
  readonly #setAside = new Map<string, Offset>();
  readonly #replies = new ByteBudget(repliesBytesMax);
  readonly #stopListening: () => void;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#slots = new Slots(options.inFlightMax);
    this.#next = options.cursor.position;
    this.update(options.config, options.matches);
    this.#stopListening = options.quarantine.onRelease((name) => this.#release(name));
  }

  /** Takes effect for the next attempt of every event. */
  update(config: TriggerConfig, matches: Matches): void {
    const { gatewayUrl } = this.#options;
    const { subscriber, deadLetterSink } = config;
    const target = subscriber && targetOf(subscriber.uri, { gatewayUrl, ca: subscriber.ca });
    const sink = deadLetterSink?.uri ? targetOf(deadLetterSink.uri, { gatewayUrl, ca: deadLetterSink.ca }) : undefined;
    this.#config = config;
    this.#matches = matches;
    this.#subscriber = target;
    this.#deadLetterSink = sink;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
    this.pump();
  }

  get consumer(): string {
    return this.#options.cursor.consumer;
  }

  /** Events of the log that this trigger is not past. */
  get backlog(): number {
    return this.#options.events.end - this.#options.cursor.position;
  }

  /** The names of the deliveries that are left alone, as they ended the process twice. */
  get setAside(): string[] {
    return [...this.#setAside.keys()];
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
    this.#stopListening();
    const timer = setTimeout(() => this.#sending.abort(), graceMs);
    await Promise.all(this.#running);
    clearTimeout(timer);
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
    const { events, cursor } = this.#options;
    while (this.#canStart()) {
      const stored = this.#buffer[this.#bufferAt];
      if (stored === undefined) {
        this.#next = Math.max(this.#next, cursor.position);
        this.#buffer = await events.read(this.#next, readCountMax);
        this.#bufferAt = 0;
        if (this.#buffer.length === 0) return;
        continue;
      }
      this.#bufferAt++;
      this.#next = stored.offset + 1;
      if (cursor.isDone(stored.offset)) continue;
      const wanted = this.#isWanted(stored);
      if (wanted === false) cursor.done(stored.offset);
      else this.#start(stored, wanted === true ? undefined : wanted);
    }
  }

  /** Whether the trigger wants the event, or why that cannot be told. */
  #isWanted(stored: StoredEvent): boolean | Failure {
    if (stored.damage !== undefined) return unusable(`the log cannot tell what it was: ${stored.damage}`);
    try {
      return this.#matches(stored.event);
    } catch (error) {
      return unusable(`the filter fails at it: ${messageOf(error)}`);
    }
  }

  #canStart(): boolean {
    if (this.#sleeping.signal.aborted || !this.#subscriber) return false;
    if (this.#heldCount >= heldCountMax || this.#heldBytes >= heldBytesMax) return false;
    return this.#slots.taken < this.#options.inFlightMax;
  }

  #start(stored: StoredEvent, failed?: Failure): void {
    this.#heldCount++;
    this.#heldBytes += stored.sizeBytes;
    const running = this.#slots
      .take()
      .then(() => this.#handle(stored, failed))
      .finally(() => {
        this.#slots.release();
        this.#heldCount--;
        this.#heldBytes -= stored.sizeBytes;
        this.#running.delete(running);
        this.pump();
      });
    this.#running.add(running);
  }

  /** The one place where work on an event is wrapped: it never throws. `failed` is why there is nothing to attempt. */
  async #handle(stored: StoredEvent, failed: Failure | undefined): Promise<void> {
    const { cursor, metrics, log } = this.#options;
    try {
      const outcome = failed ?? (await this.#deliver(stored));
      if (outcome.kind === 'delivered') metrics.delivered();
      // Who stops at the same time as its subscriber must not give up an event for that.
      else if (this.#sleeping.signal.aborted) return;
      else await this.#giveUp(stored, outcome);
      cursor.done(stored.offset);
    } catch (error) {
      // Stopping interrupts waits and attempts: the event is not done, so it comes again.
      if (this.#sleeping.signal.aborted) return;
      if (error instanceof SetAsideError) this.#keepAside(stored, error);
      else log.error({ ...identityOf(stored.event), err: error }, 'event not done: it comes again at the next start');
    }
  }

  #keepAside(stored: StoredEvent, error: SetAsideError): void {
    this.#setAside.set(error.work, stored.offset);
    const fields = { ...identityOf(stored.event), offset: stored.offset, reason: error.message };
    this.#options.log.error(fields, 'event set aside: it is kept and not delivered');
    this.#options.onSetAside?.();
  }

  /** Reads again, from the first that was set aside under that name: what is done or under way is not started twice. */
  #release(name: string): void {
    const offset = this.#setAside.get(name);
    if (offset === undefined) return;
    this.#setAside.delete(name);
    this.#options.onSetAside?.();
    this.#restart(offset).catch((error) => {
      this.#options.log.error({ offset, err: error }, 'released event not read: it comes again at the next start');
    });
  }

  async #restart(offset: Offset): Promise<void> {
    const [stored] = await this.#options.events.read(offset, 1);
    if (stored?.offset !== offset || this.#sleeping.signal.aborted) return;
    const { event } = stored;
    this.#options.log.info({ ...identityOf(event), offset }, 'event released: it is delivered');
    this.#start(stored);
  }

  async #deliver(stored: StoredEvent): Promise<Outcome> {
    for (let retry = 1; ; retry++) {
      const outcome = await this.#attempt(stored);
      const { delivery } = this.#config;
      if (outcome.kind === 'delivered' || !outcome.canRetry || retry > delivery.retries) return outcome;
      this.#options.metrics.retried();
      this.#options.log.debug({ ...identityOf(stored.event), retry, reason: outcome.why }, 'delivery failed, retrying');
      const asked = Math.min(outcome.retryAfterMs, delivery.retryAfterMaxMs);
      await this.#wait(Math.max(asked, retryDelayMs(delivery, retry)));
    }
  }

  async #attempt(stored: StoredEvent): Promise<Outcome> {
    while (!this.#subscriber) await this.#untilChanged();
    const subscriber = this.#subscriber;
    return this.#guarded(stored, async () => {
      const event = { ...stored.event, attributes: withoutTtl(stored.event.attributes) };
      const outcome = await this.#post(subscriber, event, stored.headers);
      if (outcome.kind === 'failed' || !outcome.reply) return outcome;
      return (await this.#acceptReply(outcome.reply, outcome.rawHeaders, stored)) ?? outcome;
    });
  }

  /** Everything that `work` throws is a failed delivery, but for being stopped and being set aside. */
  async #guarded(stored: StoredEvent, work: () => Promise<Outcome>): Promise<Outcome> {
    const { quarantine, broker, log } = this.#options;
    const identity = identityOf(stored.event);
    const name = `event ${broker} ${this.#config.name} ${identity.source} ${identity.id}`;
    try {
      return await quarantine.run(name, work);
    } catch (error) {
      if (error instanceof SetAsideError || this.#sleeping.signal.aborted) throw error;
      if (!(error instanceof UnsendableError)) log.error({ ...identity, err: error }, 'an attempt to deliver failed');
      return outcomeOfError(error);
    }
  }

  async #post(target: Target, event: CloudEvent, passed: readonly string[]): Promise<Posted> {
    const { delivery, namespace } = this.#config;
    const { headers, body } = encoded(event, delivery.format);
    headers.push('prefer', 'reply', 'kn-namespace', namespace, ...nextHop(passed));
    try {
      const reply = await this.#options.poster.post(target, headers, body, {
        timeoutMs: delivery.timeoutMs,
        bodyBytesMax: this.#options.replyBytesMax,
        budget: this.#replies,
        signal: this.#sending.signal,
      });
      return { ...outcomeOf(reply, this.#options.clock.now()), rawHeaders: reply.rawHeaders };
    } catch (error) {
      if (!(error instanceof NoReplyError) || this.#sending.signal.aborted) throw error;
      return { ...outcomeOfNoReply(error), rawHeaders: [] };
    }
  }

  /** Appends the reply, durably; returns why that failed, if it did. */
  async #acceptReply(reply: CloudEvent, rawHeaders: string[], stored: StoredEvent): Promise<Failure | undefined> {
    const ttl = nextTtl(stored.event.attributes);
    if (ttl <= 0) {
      const why = `${ttlAttribute} is used up: the replies of this broker's subscribers go round in a loop`;
      return failure(false, 400, Buffer.from(why), why);
    }
    const arrival = new Date(this.#options.clock.now()).toISOString();
    const attributes = { ...reply.attributes, [ttlAttribute]: ttl, knativearrivaltime: arrival };
    const event = { ...reply, attributes };
    try {
      await this.#options.events.append([{ event, headers: replyHeaders(rawHeaders, stored.headers) }], {
        isReply: true,
      });
      return undefined;
    } catch (error) {
      const code = error instanceof KittiwakeError ? error.status : 503;
      return failure(true, code, Buffer.from(messageOf(error)), `the reply was not stored: ${messageOf(error)}`);
    }
  }

  /** Hands the event to the dead letter sink, for as long as it takes; without one it is lost, as Knative has it. */
  async #giveUp(stored: StoredEvent, last: Failure): Promise<void> {
    const { log, metrics } = this.#options;
    if (!this.#config.deadLetterSink) return this.#drop(stored, last, 'there is no dead letter sink');
    if (stored.damage !== undefined) return this.#drop(stored, last, 'nothing is left of it to be a dead letter');
    const fields = { ...identityOf(stored.event), code: last.code, reason: last.why };
    log.warn(fields, 'event cannot be delivered: it goes to the dead letter sink');
    const letter = deadLetter(stored.event, this.#config.subscriber?.uri ?? '', last);
    for (let retry = 1; ; retry++) {
      while (this.#config.deadLetterSink && !this.#deadLetterSink) await this.#untilChanged();
      const sink = this.#deadLetterSink;
      if (!sink) return this.#giveUp(stored, last);
      const outcome = await this.#guarded(stored, () => this.#post(sink, letter, stored.headers));
      if (outcome.kind === 'delivered') return metrics.deadLettered();
      if (outcome.isUnsendable) return this.#drop(stored, outcome, 'it cannot be sent as a dead letter either');
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

  #drop(stored: StoredEvent, { code, why }: Failure, end: string): void {
    this.#options.metrics.dropped();
    const fields = { ...identityOf(stored.event), offset: stored.offset, code, reason: why };
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

  async #untilChanged(): Promise<void> {
    const { signal } = this.#sleeping;
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', onAbort);
    try {
      await Promise.race([this.#changed.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
}

type Posted = Outcome & { rawHeaders: string[] };

function encoded(event: CloudEvent, format: 'binary' | 'json'): HttpEvent {
  try {
    return encode(event, format);
  } catch (cause) {
    throw new UnsendableError(messageOf(cause), { cause });
  }
}
