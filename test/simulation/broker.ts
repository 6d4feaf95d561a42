import { Progress } from '../../src/eventing/backends/sqlite/progress.ts';
import type { TriggerConfig } from '../../src/eventing/broker/config.ts';
import { brokerMetrics } from '../../src/eventing/broker/metrics.ts';
import { BrokerRuntime } from '../../src/eventing/broker/runtime.ts';
import type { CloudEvent } from '../../src/eventing/cloudevents/event.ts';
import { decodeHttp, encodeBinary } from '../../src/eventing/cloudevents/http.ts';
import type { HttpReply, Poster, PostOptions, Target } from '../../src/eventing/poster.ts';
import { NoReplyError } from '../../src/lib/http-client.ts';
import { Quarantine } from '../../src/lib/quarantine.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { emptyDisk, SimulatedLog } from './simulated-log.ts';
import type { Simulation } from './simulation.ts';

const eventCount = 120;
const calmMs = 20 * 60_000;

/**
 * The broker's room: producers, one broker with triggers that filter, retry, reply and give up, subscribers that fail
 * in every way, a disk that refuses, and crashes at any moment. Time and faults come from the seed.
 *
 * What must hold: every event that was acknowledged reaches the subscriber of each trigger that it matches, or its dead
 * letter sink; every reply that a subscriber was acknowledged for does so in turn; nothing reaches whom it does not
 * match; in the end every trigger is at the end of the log, and nothing comes again; and without a crash nothing comes
 * a second time to a subscriber that took it.
 */
export async function brokerScenario(simulation: Simulation): Promise<void> {
  const world = new BrokerWorld(simulation);
  await world.start();
  simulation.spawn(() => world.produce());
  const crashes = simulation.random.between(0, 4);
  for (let i = 0; i < crashes; i++) {
    await simulation.advance(simulation.random.between(100, 20_000));
    await world.crash();
  }
  await simulation.until('all events are produced', calmMs, () => world.isProduced);
  simulation.calm();
  await simulation.until(
    'every trigger comes to the end of the log',
    calmMs,
    () => world.isDrained,
    () => world.backlogs,
  );
  world.checkDelivered();
  if (crashes === 0) world.checkOnce();
  const before = world.attempts;
  await simulation.advance(60_000);
  simulation.check(world.attempts === before, 'nothing is delivered again once all is done', world.attempts - before);
  await world.runtime.stop(0);
}

/** Nobody is deleted here. */
const facts = { platform: undefined, isDeleted: () => false, isGone: () => false };

class BrokerWorld {
  readonly #simulation: Simulation;
  readonly #disk = emptyDisk();
  readonly #triggers: TriggerConfig[];
  #log!: SimulatedLog;
  #runtime!: BrokerRuntime;
  /** Ids of events that a producer, or a subscriber with its reply, was told are kept. */
  readonly #acknowledged = new Map<string, CloudEvent>();
  /** `trigger id` of what reached a subscriber with success, or a dead letter sink, and how often. */
  readonly #reached = new Map<string, number>();
  /** What the disk said of each trigger's place when this broker was started. */
  readonly #doneAtStart = new Map<string, Progress>();
  isProduced = false;
  attempts = 0;
  #generation = 0;

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
    this.#triggers = ['all', 'odd', 'fragile', 'dead'].map((name) => triggerOf(name));
  }

  get runtime(): BrokerRuntime {
    return this.#runtime;
  }

  async start(): Promise<void> {
    const simulation = this.#simulation;
    this.#generation++;
    for (const [consumer, { position, ranges }] of this.#disk.cursors) {
      this.#doneAtStart.set(consumer, Progress.parse(position, ranges));
    }
    this.#log = new SimulatedLog(simulation, this.#disk);
    this.#runtime = new BrokerRuntime({
      config: { namespace: 'default', name: 'b', uid: 'b' },
      quarantine: new Quarantine(),
      events: this.#log,
      poster: { post: this.#poster(this.#generation), close() {} } as unknown as Poster,
      gatewayUrl: undefined,
      inFlightMax: 8,
      replyBytesMax: 2 ** 20,
      clock: simulation.clock,
      log: silentLogger,
      metrics: brokerMetrics(undefined, { backlogs: async () => [] }),
    });
    let isServed = false;
    simulation.spawn(async () => {
      await this.#runtime.setTriggers(this.#triggers, facts);
      isServed = true;
    });
    await simulation.until('the triggers get their places', 60_000, () => isServed);
    simulation.note(`started ${this.#generation}`);
  }

  /** Ends the broker without a word, and starts it anew on what its disk has. */
  async crash(): Promise<void> {
    this.backlogs = [];
    this.#simulation.note('crash');
    this.#log.crash();
    this.#generation++; // Replies that are on their way reach nobody.
    await this.start();
  }

  async produce(): Promise<void> {
    const simulation = this.#simulation;
    for (let i = 0; i < eventCount; i++) {
      await simulation.sleep(simulation.random.between(0, 400));
      simulation.spawn(() => this.#send(eventOf(`e${i}`)));
    }
    await simulation.sleep(60_000);
    this.isProduced = true;
  }

  async #send(event: CloudEvent): Promise<void> {
    try {
      await this.#runtime.accept({ event, headers: [] });
      this.#acknowledged.set(String(event.attributes.id), event);
      this.#simulation.note(`accepted ${event.attributes.id}`);
    } catch (error) {
      this.#simulation.note(`refused ${event.attributes.id}: ${error}`);
    }
  }

  /** As the broker last said. */
  backlogs: readonly { trigger: string; events: number }[] = [];

  get isDrained(): boolean {
    this.#simulation.spawn(async () => {
      this.backlogs = await this.#runtime.backlogs();
    });
    return this.backlogs.length > 0 && this.backlogs.every(({ events }) => events === 0);
  }

  /** Everything that was acknowledged has reached whom it matches. */
  checkDelivered(): void {
    for (const [id, event] of this.#acknowledged) {
      for (const { name } of this.#triggers) {
        const isDue = matches(name, event);
        const isThere = this.#reached.has(`${name} ${id}`);
        this.#simulation.check(isThere || !isDue, 'every acknowledged event reaches its triggers', {
          trigger: name,
          id,
        });
      }
    }
  }

  /** No event was taken twice by a subscriber that has no reply to be lost. */
  checkOnce(): void {
    const again = [...this.#reached].filter(([what, times]) => times > 1 && !what.startsWith('odd '));
    this.#simulation.check(again.length === 0, 'what was taken does not come again', again);
  }

  #checkNotDone(trigger: string, id: string): void {
    if (id.endsWith('r')) return; // A reply may be in the log twice, when its event was delivered twice.
    const stored = this.#disk.events.find(({ event }) => event.attributes.id === id);
    const isDone = stored && this.#doneAtStart.get(`default/${trigger}`)?.isDone(stored.offset);
    this.#simulation.check(!isDone, 'what the disk says is done is not delivered again', { trigger, id });
  }

  #reach(trigger: string, id: string): void {
    const what = `${trigger} ${id}`;
    this.#reached.set(what, (this.#reached.get(what) ?? 0) + 1);
  }

  /** Subscribers and dead letter sinks, as the dispatcher sees them through HTTP. */
  #poster(generation: number) {
    const simulation = this.#simulation;
    return async (target: Target, headers: readonly string[], body: Buffer | undefined, options: PostOptions) => {
      if (generation !== this.#generation) return new Promise<HttpReply>(() => {}); // A crashed broker sends nothing.
      this.attempts++;
      const [, trigger = '', what = ''] = new URL(target.url).pathname.split('/');
      const event = decodeHttp(headers, body ?? Buffer.alloc(0));
      const id = String(event.attributes.id);
      this.#checkNotDone(trigger, id);
      await simulation.sleep(simulation.random.between(1, 200));
      if (options.signal?.aborted) throw new NoReplyError('aborted', 'ABORTED');
      if (generation !== this.#generation) return new Promise<HttpReply>(() => {});
      simulation.check(matches(trigger, event) || what === 'dead', 'nothing reaches whom it does not match', {
        trigger,
        id,
      });
      if (what === 'dead') return this.#takeDeadLetter(trigger, id);
      if (simulation.fault(0.1)) throw new NoReplyError('connection reset', 'ECONNRESET');
      if (simulation.fault(0.05)) return reply(simulation.random.pick([404, 429, 500, 503]));
      if (simulation.fault(0.03)) return reply(simulation.random.pick([400, 401, 422])); // Not worth a retry.
      if (trigger === 'dead' || (trigger === 'fragile' && simulation.fault(0.5))) return reply(500);
      this.#reach(trigger, id);
      simulation.note(`${trigger} took ${id}`);
      if (trigger === 'odd' && !id.endsWith('r')) return this.#replyTo(event);
      return reply(204);
    };
  }

  #takeDeadLetter(trigger: string, id: string): HttpReply {
    if (this.#simulation.fault(0.2)) return reply(503);
    this.#reach(trigger, id);
    // Its reply, if it gave one, could not be kept, and then it refused the event for good: no reply is owed.
    if (trigger === 'odd') this.#acknowledged.delete(`${id}r`);
    this.#simulation.note(`dead letter of ${trigger}: ${id}`);
    return reply(200);
  }

  /** Answers with an event of its own; the delivery is done only once that is kept, so it counts as acknowledged. */
  #replyTo(event: CloudEvent): HttpReply {
    const own = eventOf(`${event.attributes.id}r`);
    this.#acknowledged.set(String(own.attributes.id), own);
    const { headers, body } = encodeBinary(own);
    return reply(200, headers, body);
  }
}

/** Whose dead letters are kept: those without a sink lose what they refuse for good, as Knative has it. */
function triggerOf(name: string): TriggerConfig {
  const url = `http://subscriber/${name}`;
  return {
    namespace: 'default',
    name,
    uid: name,
    broker: 'b',
    filter: name === 'odd' ? { filters: [{ suffix: { subject: '-odd' } }] } : {},
    subscriber: { uri: url },
    deadLetterSink: { uri: `${url}/dead` },
    delivery: {
      retries: 3,
      policy: 'exponential',
      delayMs: 200,
      delayMaxMs: 10_000,
      timeoutMs: 5_000,
      retryAfterMaxMs: 5_000,
      format: 'binary',
    },
  };
}

function matches(trigger: string, event: CloudEvent): boolean {
  return trigger !== 'odd' || String(event.attributes.subject).endsWith('-odd');
}

function eventOf(id: string): CloudEvent {
  const isOdd = /[13579]r?$/.test(id) && !id.endsWith('r');
  return {
    attributes: { specversion: '1.0', id, source: '/simulation', type: 'test', subject: isOdd ? 'x-odd' : 'x-even' },
    data: Buffer.from(id),
  };
}

function reply(status: number, rawHeaders: string[] = [], body: Buffer = Buffer.alloc(0)): HttpReply {
  const headers: Record<string, string> = {};
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) headers[rawHeaders[i] ?? ''] = rawHeaders[i + 1] ?? '';
  return { status, rawHeaders, headers, body, isCut: false };
}
