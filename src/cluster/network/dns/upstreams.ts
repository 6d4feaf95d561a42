import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import type { Clock } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import { parseResolvConf } from '../../../lib/resolv-conf.ts';
import type { Logger } from '../../../observe/log.ts';
import type { Upstream } from './ask.ts';
import { canonicalAddress } from './reverse.ts';

export interface UpstreamOptions {
  /** The host's resolv.conf. */
  file: string;
  /** Of this server itself: what leads back here is nobody to ask. */
  ownAddresses: readonly string[];
  clock: Clock;
  log: Logger;
  /** 53 but in tests. */
  port?: number | undefined;
}

/** How often it is looked whether the file has changed, when somebody asks. */
const lookEveryMs = 1_000;
const upstreamsMax = 8;
/** After so many failures on end it is left alone for a while, but for one question at a time. */
const failuresMax = 2;
const restMs = 3_000;

interface Health {
  failures: number;
  restsUntilMs: number;
  isTried: boolean;
}

/** The servers that the host asks, and which of them answer. */
export class Upstreams {
  readonly #options: UpstreamOptions;
  #upstreams: readonly Upstream[] = [];
  readonly #health = new Map<string, Health>();
  #stamp = '';
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: UpstreamOptions) {
    this.#options = options;
  }

  /**
   * Whom to ask, in this order: those that answer as the file has them, then one that is tried again. `done` says what
   * came of it.
   */
  candidates(): Upstream[] {
    this.#look();
    const nowMs = this.#options.clock.monotonic();
    const healthOf = (upstream: Upstream) => this.#healthOf(upstream);
    const well = this.#upstreams.filter((upstream) => healthOf(upstream).failures < failuresMax);
    const rested = this.#upstreams.find((upstream) => {
      const { failures, isTried, restsUntilMs } = healthOf(upstream);
      return failures >= failuresMax && !isTried && restsUntilMs <= nowMs;
    });
    return rested ? [...well, rested] : well;
  }

  begin(upstream: Upstream): void {
    this.#healthOf(upstream).isTried = true;
  }

  done(upstream: Upstream, hasAnswered: boolean): void {
    const health = this.#healthOf(upstream);
    health.isTried = false;
    health.failures = hasAnswered ? 0 : health.failures + 1;
    health.restsUntilMs = this.#options.clock.monotonic() + restMs;
  }

  #healthOf({ address }: Upstream): Health {
    const known = this.#health.get(address);
    if (known) return known;
    const health = { failures: 0, restsUntilMs: 0, isTried: false };
    this.#health.set(address, health);
    return health;
  }

  /** Reads the file again when it has changed. One that is away for a moment is as it was. */
  #look(): void {
    const { clock, file, log, ownAddresses, port = 53 } = this.#options;
    const nowMs = clock.monotonic();
    if (nowMs - this.#lookedAtMs < lookEveryMs) return;
    this.#lookedAtMs = nowMs;
    try {
      const { ino, mtimeMs, size } = statSync(file);
      const stamp = `${ino} ${mtimeMs} ${size}`;
      if (stamp === this.#stamp) return;
      const own = new Set(ownAddresses);
      const { nameservers } = parseResolvConf(readFileSync(file, 'utf8'));
      const usable = nameservers.filter(
        (address) => isIP(address) !== 0 && !own.has(canonicalAddress(address) ?? address),
      );
      this.#upstreams = [...new Set(usable)].slice(0, upstreamsMax).map((address) => ({ address, port }));
      this.#health.clear();
      this.#stamp = stamp;
      if (usable.length === 0) log.warn({ file }, 'it names no DNS server to ask: pods find no names outside');
    } catch (error) {
      log.warn({ file, reason: messageOf(error) }, 'it could not be read: the DNS servers of before are asked');
    }
  }
}
