import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statfsSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../src/lib/errors.ts';
import { Random } from '../kit/random.ts';
import { Disk } from './disk.ts';
import type { Entry } from './journal.ts';
import { type Found, Ledger } from './ledger.ts';
import type { Note } from './notes.ts';
import { type RecordOptions, record } from './recorder.ts';

/** One component whose promises are tested. */
export interface Subject {
  name: string;
  /** The module that works with it, and notes what it is promised; its argument is a seed. */
  workload: URL;
  /** Opens the real component on a disk that a power loss left, and closes it. Throws when it does not open. */
  inspect(folder: string): Promise<Found>;
}

export interface ExploreOptions extends Pick<RecordOptions, 'drop' | 'mutant'> {
  seed: number;
  /** How many disks are looked at. */
  disks: number;
  /** How many of them lose power a second time, while the component opens them. */
  secondCrashes?: number;
  /** For the tests of the tests: one is enough. */
  stopAtFirst?: boolean;
}

/** A disk that breaks a promise. */
export interface Loss {
  /** Entries of the journal before the power loss. */
  at: number;
  seed: number;
  wrong: string[];
}

/**
 * Runs the workload once, then loses power at many moments of it, most of them right after a promise or a sync; opens
 * the component on what is left, and compares it with the promises up to that moment.
 */
export async function explore(subject: Subject, options: ExploreOptions): Promise<Loss[]> {
  const { seed, disks, secondCrashes = 0, stopAtFirst = false } = options;
  const work = realpathSync(mkdtempSync(join(quickFolder(), 'kittiwake-power-loss-')));
  try {
    const folder = join(work, 'disk');
    mkdirSync(folder);
    const disk = new Disk(folder);
    const entries = await record({ ...options, workload: subject.workload, args: [`${seed}`], folder, beside: work });
    const random = new Random(seed);
    const points = crashPoints(entries, disks, random);
    const ledger = new Ledger();
    const losses: Loss[] = [];
    let done = 0;
    for (const [i, at] of points.entries()) {
      for (; done < at; done++) advance(disk, ledger, entries[done] as Entry);
      const diskSeed = random.below(2 ** 32);
      const isTwice = i % Math.ceil(points.length / secondCrashes) === 0;
      const wrong = await inspectCrash(subject, disk, ledger, work, diskSeed, isTwice);
      if (wrong.length > 0) losses.push({ at, seed: diskSeed, wrong });
      if (wrong.length > 0 && stopAtFirst) return losses;
    }
    for (; done < entries.length; done++) advance(disk, ledger, entries[done] as Entry);
    const replayed = join(work, 'replayed');
    mkdirSync(replayed);
    disk.snapshot(replayed);
    const missed = differences(folder, replayed);
    if (missed.length > 0) throw new Error(`the recorder missed changes of:\n  ${missed.join('\n  ')}`);
    if (losses.length > 0) keepForLater(work, subject, seed, losses);
    return losses;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Losses in words; nothing when there are none. */
export function lossText(losses: readonly Loss[]): string {
  return losses
    .slice(0, 5)
    .map(
      ({ at, seed, wrong }) => `power lost after entry ${at}, disk ${seed}:\n    ${wrong.slice(0, 6).join('\n    ')}`,
    )
    .join('\n  ');
}

function advance(disk: Disk, ledger: Ledger, entry: Entry): void {
  disk.apply(entry);
  if (entry.kind === 'note') ledger.add(JSON.parse(entry.text) as Note);
}

/** Half of them right after something was acknowledged, a quarter around syncs, a quarter anywhere. */
function crashPoints(entries: readonly Entry[], count: number, random: Random): number[] {
  const after = (isSo: (entry: Entry) => boolean) => entries.flatMap((entry, i) => (isSo(entry) ? [i + 1] : []));
  const promises = after((entry) => entry.kind === 'note' && !entry.text.startsWith('{"tried"'));
  const syncs = after((entry) => entry.kind === 'sync-begin' || entry.kind === 'sync-end');
  const points = Array.from({ length: count }, (_, i) => {
    if (i % 4 < 2 && promises.length > 0) return random.pick(promises);
    if (i % 4 === 2 && syncs.length > 0) return random.pick(syncs) - random.below(2);
    return random.below(entries.length + 1);
  });
  return points.sort((a, b) => a - b);
}

async function inspectCrash(
  subject: Subject,
  disk: Disk,
  ledger: Ledger,
  work: string,
  seed: number,
  isTwice: boolean,
): Promise<string[]> {
  const random = new Random(seed);
  const folder = join(work, 'crashed');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  disk.crash(folder, random);
  try {
    if (isTwice) await crashAgain(subject, folder, work, random);
    return ledger.compare(await subject.inspect(folder));
  } catch (error) {
    return [`it does not open: ${error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}`];
  }
}

/** Opens the component in a process of its own, and loses power once more at some moment of that. */
async function crashAgain(subject: Subject, folder: string, work: string, random: Random): Promise<void> {
  const disk = new Disk(folder);
  const entries = await record({ workload: subject.workload, args: ['open'], folder, beside: work });
  for (const entry of entries.slice(0, random.below(entries.length + 1))) disk.apply(entry);
  rmSync(folder, { recursive: true });
  mkdirSync(folder);
  disk.crash(folder, random);
}

/** In memory, where there is room: thousands of small files come and go, and syncs are the recorder's affair. */
function quickFolder(): string {
  const memory = '/dev/shm';
  try {
    const { bavail, bsize } = statfsSync(memory);
    return bavail * bsize > 2 ** 30 ? memory : tmpdir();
  } catch {
    return tmpdir(); // There is none.
  }
}

/** Paths at which two folders differ, but for SQLite's index of its log, which is written through memory. */
function differences(a: string, b: string, path = '.'): string[] {
  const found: string[] = [];
  const inside = (folder: string) => new Map(readdirSync(folder, { withFileTypes: true }).map((e) => [e.name, e]));
  const [left, right] = [inside(join(a, path)), inside(join(b, path))];
  for (const name of new Set([...left.keys(), ...right.keys()])) {
    const [one, other] = [left.get(name), right.get(name)];
    const at = join(path, name);
    if (!one || !other || one.isDirectory() !== other.isDirectory()) found.push(at);
    else if (one.isDirectory()) found.push(...differences(a, b, at));
    else if (one.isSymbolicLink() || other.isSymbolicLink()) {
      if (readlinkSync(join(a, at)) !== readlinkSync(join(b, at))) found.push(at);
    } else if (!name.endsWith('-shm') && !readFileSync(join(a, at)).equals(readFileSync(join(b, at)))) found.push(at);
  }
  return found;
}

/** The journal of a run that lost something stays, beside what is needed to look at the same disks again. */
function keepForLater(work: string, subject: Subject, seed: number, losses: readonly Loss[]): void {
  const kept = join(tmpdir(), `kittiwake-power-loss-${subject.name.replaceAll(' ', '-')}-${seed}.journal`);
  copyFileSync(join(work, 'journal'), kept);
  process.stderr.write(`${subject.name} lost data with seed ${seed}; its journal is ${kept}\n  ${lossText(losses)}\n`);
}
