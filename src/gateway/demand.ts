import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import { discard, readSome } from '../lib/http-body.ts';
import { HttpClient, type Target, targetOf } from '../lib/http-client.ts';
import type { Logger } from '../observe/log.ts';
import type { RevisionStats, StatsReport } from '../serving/autoscaler/stats.ts';
import type { Backend } from './backend.ts';

export type AutoscalerAddress = { socketPath: string } | { url: string };

export interface DemandOptions {
  autoscaler: AutoscalerAddress;
  /** Names this gateway among others. */
  id: string;
  clock: Clock;
  log: Logger;
  backends: () => Iterable<Backend>;
}

const periodMs = 1_000;
/** While requests wait and the autoscaler cannot be reached, how soon to try again. */
const retryMs = 100;
const postTimeoutMs = 2_000;
const postsMax = 4;

/**
 * Tells the autoscaler what the revisions are asked for: each second, and at once when a request meets a revision that
 * has nothing to run it. A report that does not arrive is not kept: the next one tells the newer truth.
 */
export class DemandReporter {
  readonly #options: DemandOptions;
  readonly #client = new HttpClient({ connectionsMax: postsMax });
  readonly #target: Target;
  readonly #urgent = new Set<Backend>();
  /** Had something to report the last time: one zero more tells that it has become idle, or is no longer routed to. */
  #reported = new Map<Backend, string>();
  /** Whose arrival an urgent report has told already: one of each is left out of the period's. */
  readonly #toldEarly = new Set<Backend>();
  #cancelTick: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;
  #isUrgentScheduled = false;
  /** Posts that have no answer yet. */
  #underWay = 0;
  #isReachable = true;
  #isStopped = false;

  constructor(options: DemandOptions) {
    this.#options = options;
    const { autoscaler } = options;
    this.#target =
      'socketPath' in autoscaler
        ? { ...targetOf('http://localhost/v1/stats'), ...autoscaler }
        : targetOf(new URL('/v1/stats', autoscaler.url));
  }

  start(): void {
    this.#cancelTick = this.#options.clock.after(periodMs, () => {
      this.#guarded(() => this.#reportAll());
      if (!this.#isStopped) this.start();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTick?.();
    this.#cancelRetry?.();
    this.#client.close();
  }

  /** Reports `backend` at once; the calls of one turn of the event loop make one message. */
  urge(backend: Backend): void {
    this.#urgent.add(backend);
    if (this.#isUrgentScheduled || this.#cancelRetry !== undefined) return;
    this.#isUrgentScheduled = true;
    queueMicrotask(() => {
      this.#isUrgentScheduled = false;
      this.#guarded(() => this.#reportUrgent());
    });
  }

  /** Timers and microtasks enter here: a report that fails is one report less. */
  #guarded(report: () => void): void {
    try {
      report();
    } catch (error) {
      this.#options.log.error({ err: error }, 'a report to the autoscaler failed');
    }
  }

  #reportUrgent(): void {
    const revisions: RevisionStats[] = [];
    for (const backend of this.#urgent) {
      // A request that is gone already, or has found its pod, needs nothing.
      const { revision } = backend.target;
      if (backend.queued === 0 || backend.hasReadyEndpoints || revision === undefined) continue;
      if (this.#toldEarly.has(backend)) continue;
      this.#toldEarly.add(backend);
      revisions.push(statsOf(backend, revision, { averageConcurrency: 1, requestCount: 1 }));
    }
    this.#urgent.clear();
    if (revisions.length > 0) this.#post(revisions);
  }

  #reportAll(): void {
    const nowMs = this.#options.clock.monotonic();
    const revisions: RevisionStats[] = [];
    const before = this.#reported;
    this.#reported = new Map();
    for (const backend of this.#options.backends()) {
      const { revision } = backend.target;
      if (revision === undefined) continue;
      const cut = backend.counters.cut(nowMs);
      const requestCount = Math.max(0, cut.requestCount - (this.#toldEarly.has(backend) ? 1 : 0));
      const isActive = cut.averageConcurrency > 0 || cut.requestCount > 0 || backend.queued > 0;
      // One with pods is reported idle too: the autoscaler reads silence as a gateway that is away.
      const wasActive = before.get(backend) === revision && before.delete(backend);
      if (!isActive && !backend.hasReadyEndpoints && !wasActive) continue;
      if (isActive) this.#reported.set(backend, revision);
      revisions.push(statsOf(backend, revision, { averageConcurrency: cut.averageConcurrency, requestCount }));
    }
    // What is left was reported and is gone, or its Service is.
    for (const [backend, revision] of before) {
      revisions.push(statsOf(backend, revision, { averageConcurrency: 0, requestCount: 0 }));
    }
    this.#toldEarly.clear();
    if (revisions.length > 0) this.#post(revisions);
  }

  #post(revisions: RevisionStats[]): void {
    const { clock, id } = this.#options;
    if (this.#underWay >= postsMax) {
      this.#missed('it leaves reports without an answer');
      return;
    }
    const report: StatsReport = { gateway: id, at: clock.now(), revisions };
    this.#underWay++;
    void this.#send(Buffer.from(JSON.stringify(report))).finally(() => this.#underWay--); // It never rejects.
  }

  async #send(body: Buffer): Promise<void> {
    try {
      const response = await this.#client.send({
        ...{ method: 'POST', target: this.#target, body, headers: ['content-type', 'application/json'] },
        // A report that comes twice is as good as once.
        ...{ isRepeatable: true, wholeMs: postTimeoutMs },
      });
      const { statusCode = 0 } = response;
      if (statusCode >= 200 && statusCode < 300) {
        discard(response);
        this.#reached();
      } else this.#missed(`it answered HTTP ${statusCode} ${await readSome(response, 200)}`);
    } catch (error) {
      this.#missed(messageOf(error));
    }
  }

  #reached(): void {
    if (!this.#isReachable) this.#options.log.info({}, 'the autoscaler can be reached again');
    this.#isReachable = true;
  }

  /** Requests wait until their own deadline; meanwhile those without a pod are reported again and again. */
  #missed(why: string): void {
    if (this.#isStopped) return;
    if (this.#isReachable) this.#options.log.warn({ why }, 'the autoscaler cannot be reached: requests wait');
    this.#isReachable = false;
    this.#cancelRetry ??= this.#options.clock.after(retryMs, () => {
      this.#cancelRetry = undefined;
      this.#toldEarly.clear();
      for (const backend of this.#options.backends()) if (backend.queued > 0) this.#urgent.add(backend);
      this.#guarded(() => this.#reportUrgent());
    });
  }
}

/** By the name of the revision: the autoscaler knows of no other Services. */
function statsOf(
  { target: { namespace }, queued }: Backend,
  name: string,
  counted: { averageConcurrency: number; requestCount: number },
): RevisionStats {
  return { namespace, name, ...counted, queued };
}
