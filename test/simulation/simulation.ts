import crypto, { createHash } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { ApiError } from '../../src/api/status.ts';
import { type Clock, sleep } from '../../src/lib/clock.ts';
import { VirtualClock } from '../../src/lib/virtual-clock.ts';
import { Random } from '../kit/random.ts';

/** An invariant does not hold: the message says which, and what was found. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** After this many turns of the event loop all that one instant sets off has happened; more is a loop without end. */
const turnsAnInstantMax = 10_000;

/**
 * One run of a scenario: virtual time, randomness from a seed, faults that can be switched off, and a trace of what
 * happened, by whose hash two runs of a seed are told to be the same. No real time passes and nothing real is waited
 * for: what depends on a thread, a socket or the system's clock has no place in it.
 */
export class Simulation {
  readonly seed: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly #virtual: VirtualClock;
  readonly #trace = createHash('sha256');
  readonly #lines: string[] = [];
  #isCalm = false;
  /** Work that a scenario has started and that must have ended well. */
  readonly #failures: unknown[] = [];

  constructor(seed: number) {
    this.seed = seed;
    this.random = new Random(seed);
    this.#virtual = new VirtualClock();
    this.clock = this.#virtual;
  }

  /** Whether something goes wrong here and now; never once it is calm. */
  fault(probability: number): boolean {
    return !this.#isCalm && this.random.chance(probability);
  }

  /** From now on nothing goes wrong any more. */
  calm(): void {
    this.#isCalm = true;
    this.note('calm');
  }

  get isCalm(): boolean {
    return this.#isCalm;
  }

  note(line: string): void {
    const text = `${this.seconds.toFixed(3)} ${line}`;
    this.#trace.update(`${text}\n`);
    this.#lines.push(text);
    if (this.#lines.length > 400) this.#lines.shift();
  }

  /** Virtual seconds since the start. */
  get seconds(): number {
    return (this.clock.now() - Date.UTC(2026, 0, 1)) / 1000;
  }

  sleep(ms: number): Promise<void> {
    return sleep(this.clock, ms);
  }

  /** Ends the run with this error at the next step. */
  fail(error: unknown): void {
    this.#failures.push(error);
  }

  /** Starts `work` beside the scenario. */
  spawn(work: () => Promise<void>): void {
    work().catch((error) => this.fail(error));
  }

  /** Lets `ms` of virtual time pass. */
  async advance(ms: number): Promise<void> {
    const endMs = this.clock.now() + ms;
    while (this.clock.now() < endMs) {
      await this.#virtual.advance(Math.min(50, endMs - this.clock.now()));
      await this.#settle();
      if (this.#failures.length > 0) throw this.#failures[0];
    }
  }

  /** Lets time pass until `isSo`, for at most `ms`; a violation of `what` after that. */
  async until(what: string, ms: number, isSo: () => unknown, found: () => unknown = () => ''): Promise<void> {
    const endMs = this.clock.now() + ms;
    while (!isSo()) {
      if (this.clock.now() >= endMs) this.violated(`${what} within ${ms / 1000} s`, found());
      await this.advance(50);
    }
  }

  check(isSo: unknown, what: string, found?: unknown): void {
    if (!isSo) this.violated(what, found);
  }

  violated(what: string, found?: unknown): never {
    const detail = found === undefined || found === '' ? '' : `: ${JSON.stringify(found)}`;
    const violation = new Violation(`after ${this.seconds.toFixed(1)} s: it must hold that ${what}${detail}`);
    // Also when what called us catches everything.
    this.fail(violation);
    throw violation;
  }

  /** The last things that happened. */
  get tail(): readonly string[] {
    return this.#lines;
  }

  fingerprint(): string {
    return this.#trace.copy().digest('hex').slice(0, 16);
  }

  /** Turns the event loop until what this instant set off has come to rest. */
  async #settle(): Promise<void> {
    for (let turns = 0, quiet = 0; quiet < 8; turns++) {
      if (turns > turnsAnInstantMax) this.violated('an instant comes to rest');
      const before = this.#lines.length;
      await new Promise((resolve) => setImmediate(resolve));
      quiet = this.#lines.length === before ? quiet + 1 : 0;
    }
  }
}

/**
 * Runs a scenario with this seed, which decides all that is random meanwhile: jitter (`Math.random`), uids and the
 * suffixes of names (`node:crypto`). A rejection that nobody handles is a violation of every scenario.
 */
export async function simulate(seed: number, scenario: (simulation: Simulation) => Promise<void>): Promise<Simulation> {
  const simulation = new Simulation(seed);
  const restore = seedRandomness(new Random(seed ^ 0x5eed));
  const onUnhandled = (cause: unknown) => simulation.fail(new Error('a rejection that nobody handles', { cause }));
  process.on('unhandledRejection', onUnhandled);
  try {
    await scenario(simulation);
    return simulation;
  } catch (error) {
    const why = error instanceof Error ? error.stack : String(error);
    throw new Error(`${why}\nthe last that happened:\n  ${simulation.tail.slice(-60).join('\n  ')}`, { cause: error });
  } finally {
    process.off('unhandledRejection', onUnhandled);
    restore();
  }
}

function seedRandomness(random: Random): () => void {
  const { random: mathRandom } = Math;
  const { randomBytes, randomInt, randomUUID } = crypto;
  const bytes = (count: number) => Buffer.from(Array.from({ length: count }, () => random.between(0, 255)));
  const uuid = () =>
    bytes(16)
      .toString('hex')
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  Math.random = () => random.next();
  const int = (below: number) => random.between(0, below - 1);
  Object.assign(crypto, { randomBytes: bytes, randomInt: int, randomUUID: uuid });
  syncBuiltinESMExports();
  return () => {
    Math.random = mathRandom;
    Object.assign(crypto, { randomBytes, randomInt, randomUUID });
    syncBuiltinESMExports();
  };
}

/** An error in words that are the same in each run: messages name folders. */
export function reasonOf(error: unknown): string {
  return error instanceof ApiError ? `${error.code} ${error.reason}` : String(error);
}
