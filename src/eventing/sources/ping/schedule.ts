import { cronOf, type PingSourceSpec, pingEventType } from '../../../api/sources/ping-source.ts';
import { type BackoffPolicy, backoffDelayMs } from '../../../lib/backoff.ts';
import { type Clock, sleep } from '../../../lib/clock.ts';
import { KittiwakeError, messageOf } from '../../../lib/errors.ts';
import type { Logger } from '../../../observe/log.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import { isJsonText } from '../../cloudevents/json.ts';
import { isRetried } from '../../dispatcher/outcome.ts';
import { RefusedError } from '../../send.ts';

/** One PingSource as it is scheduled. */
export interface PingJob {
  namespace: string;
  name: string;
  uid: string;
  sinkUri: string;
  spec: PingSourceSpec;
}

export interface PingScheduleOptions {
  clock: Clock;
  log: Logger;
  send(sinkUri: string, event: CloudEvent): Promise<unknown>;
}

const retries = 5;
/** Events of one source that wait for its sink at once: a slow one must not make them pile up. */
const underWayMax = 8;
const retryBackoff: BackoffPolicy = { firstMs: 500, maxMs: 30_000, factor: 2 };

interface Entry {
  job: PingJob;
  text: string;
  cancel: () => void;
  underWay: number;
}

/**
 * Runs PingSources. Each tick is one event, sent up to six times and then given up with a line in the log. Ticks that
 * pass while nothing runs (the platform is down, the machine sleeps) are not made up for, as with cron and Knative.
 */
export class PingSchedule {
  readonly #options: PingScheduleOptions;
  readonly #jobs = new Map<string, Entry>();
  readonly #abort = new AbortController();

  constructor(options: PingScheduleOptions) {
    this.#options = options;
  }

  /** Schedules the job, or changes it; an unchanged one keeps its next tick. Throws when its schedule is none. */
  set(job: PingJob): void {
    const key = `${job.namespace}/${job.name}`;
    const text = JSON.stringify(job);
    if (this.#jobs.get(key)?.text === text) return;
    this.remove(key);
    const entry = { job, text, cancel: () => {}, underWay: 0 };
    this.#scheduleNext(entry);
    this.#jobs.set(key, entry);
  }

  /** `key` is `namespace/name`. */
  remove(key: string): void {
    this.#jobs.get(key)?.cancel();
    this.#jobs.delete(key);
  }

  stop(): void {
    this.#abort.abort();
    for (const key of [...this.#jobs.keys()]) this.remove(key);
  }

  #scheduleNext(entry: Entry): void {
    const { clock } = this.#options;
    const now = clock.now();
    const next = cronOf(entry.job.spec).nextRun(new Date(now));
    // A date such as 30 February never comes.
    if (!next) return;
    const delayMs = next.getTime() - now;
    // Timers reach 24 days; after each day at the latest the time is looked at again, as clocks are set.
    const isFar = delayMs > 86_400_000;
    entry.cancel = clock.after(isFar ? 86_400_000 : delayMs, () => {
      try {
        if (!isFar && clock.now() >= next.getTime()) this.#tick(entry, next.getTime());
        this.#scheduleNext(entry);
      } catch (error) {
        this.#options.log.error({ ...fieldsOf(entry.job), err: error }, 'the source sends nothing any more');
      }
    });
  }

  /** The one place where a tick is wrapped: what goes wrong with it is a ping lost. */
  #tick(entry: Entry, tickMs: number): void {
    const { log } = this.#options;
    if (entry.underWay >= underWayMax) {
      log.error(fieldsOf(entry.job), `ping lost: the sink has not taken the ${underWayMax} before it`);
      return;
    }
    entry.underWay++;
    this.#fire(entry.job, tickMs)
      .catch((error) => log.error({ ...fieldsOf(entry.job), err: error }, 'ping lost: it could not be made'))
      .finally(() => entry.underWay--);
  }

  async #fire(job: PingJob, tickMs: number): Promise<void> {
    const { clock, log, send } = this.#options;
    const event = pingEvent(job, tickMs, clock.now());
    const fields = { ...fieldsOf(job), id: event.attributes.id };
    for (let attempt = 0; ; attempt++) {
      try {
        await send(job.sinkUri, event);
        log.debug(fields, 'ping sent');
        return;
      } catch (error) {
        if (isFinal(error) || attempt >= retries) {
          log.error(
            { ...fields, attempts: attempt + 1, reason: messageOf(error) },
            'ping lost: the sink takes no event',
          );
          return;
        }
      }
      try {
        await sleep(clock, backoffDelayMs(retryBackoff, attempt), this.#abort.signal);
      } catch {
        // The sleep ends early only when the schedule stops: there is nobody left to send for.
        return;
      }
    }
  }
}

const fieldsOf = (job: PingJob) => ({ pingSource: `${job.namespace}/${job.name}`, sink: job.sinkUri });

/** Whether another attempt is of no use: the sink says so, or there is something in the source that is no event. */
function isFinal(error: unknown): boolean {
  if (error instanceof KittiwakeError) return error.status < 500;
  return error instanceof RefusedError && !isRetried(error.status);
}

/** The event of one tick. Its id is the tick's, so that a tick that is sent twice is seen to be one. */
export function pingEvent(job: PingJob, tickMs: number, now: number): CloudEvent {
  const { spec } = job;
  const contentType = spec.contentType || (spec.data && isJsonText(spec.data) ? 'application/json' : undefined);
  const attributes = {
    specversion: '1.0',
    id: `${job.uid}-${new Date(tickMs).toISOString()}`,
    type: pingEventType,
    source: pingSourceOf(job.namespace, job.name),
    time: new Date(now).toISOString(),
    ...(contentType === undefined ? {} : { datacontenttype: contentType }),
    ...spec.ceOverrides?.extensions,
  };
  if (spec.dataBase64) return { attributes, data: Buffer.from(spec.dataBase64, 'base64') };
  return spec.data ? { attributes, data: Buffer.from(spec.data) } : { attributes };
}

/** The `source` attribute of a PingSource's events, as Knative has it. */
export const pingSourceOf = (namespace: string, name: string): string =>
  `/apis/v1/namespaces/${namespace}/pingsources/${name}`;
