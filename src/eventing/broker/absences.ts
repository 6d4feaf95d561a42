import { isSamePlatform, ownerOf } from './owner.ts';

/** Something that is kept for an object that no list shows, and whose deletion nobody saw. */
export interface Absence {
  /** `broker NAMESPACE/NAME`, or `trigger NAMESPACE/NAME of NAMESPACE/BROKER`. */
  name: string;
  /** As it is written down with what is kept; empty where that is not known. */
  owner: string;
  /** How often it was looked for in vain. */
  looks: number;
}

/** Looks, one a minute. Its own platform lost it while nobody watched: ten minutes rule out a list that was wrong. */
const looksMax = 10;
/** On another platform it may be on its way, with the manifests that somebody has yet to apply: a week. */
const looksElsewhereMax = 7 * 24 * 60;

/**
 * What is absent, and for how long: nothing is removed because a list did not show it once. Looks are counted, not
 * hours: the time in which nobody could look does not count, nor does a clock that jumps.
 */
export class Absences {
  #byName = new Map<string, Absence>();

  constructor(known: readonly Absence[] = []) {
    for (const absence of known) this.#byName.set(absence.name, absence);
  }

  get all(): Absence[] {
    return [...this.#byName.values()];
  }

  /** What is absent now; how often each was looked for is kept. */
  set(absent: readonly Pick<Absence, 'name' | 'owner'>[]): void {
    const before = this.#byName;
    this.#byName = new Map(
      absent.map(({ name, owner }) => [name, { name, owner, looks: before.get(name)?.looks ?? 0 }]),
    );
  }

  /** Somebody has looked at all that there is. */
  looked(isThere: (name: string) => boolean): void {
    for (const absence of this.#byName.values()) absence.looks = isThere(absence.name) ? 0 : absence.looks + 1;
  }

  ownerOf(name: string): string | undefined {
    return this.#byName.get(name)?.owner;
  }

  /** Whether it was looked for long enough. */
  isOver(name: string, platform: string | undefined): boolean {
    const absence = this.#byName.get(name);
    if (!absence) return false;
    return absence.looks >= (isSamePlatform(ownerOf(absence.owner), platform) ? looksMax : looksElsewhereMax);
  }
}
