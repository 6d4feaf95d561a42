import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { explore, lossText, type Subject } from './crash.ts';
import { keptSeeds } from './kept-seeds.ts';
import { mutants } from './mutants.ts';
import { whyNot } from './recorder.ts';

export interface PromisesOptions {
  /** How many disks are looked at for each seed; POWER_LOSS_DISKS says otherwise. */
  disks: number;
}

/**
 * The tests of one component: its promises hold on every disk that a power loss may leave, for a seed of its own
 * (POWER_LOSS_SEED says otherwise) and for those that lost something once; and they do not hold when syncs lie.
 */
export function testPromises(subject: Subject, options: PromisesOptions): void {
  const own = mutants[subject.name];
  assert.ok(own, `mutants.ts has none for ${subject.name}`);
  const skip = whyNot() ?? false;
  const seed = Number(process.env.POWER_LOSS_SEED ?? Math.floor(Math.random() * 2 ** 31));
  const disks = Number(process.env.POWER_LOSS_DISKS ?? options.disks);

  describe(`power loss: ${subject.name}`, { skip }, () => {
    const survives = (name: string, chosen: number, disks: number) =>
      test(`what was acknowledged survives power loss (${name} ${chosen})`, async () => {
        const losses = await explore(subject, { seed: chosen, disks, secondCrashes: Math.ceil(disks / 20) });
        assert.ok(losses.length === 0, `${losses.length} of ${disks} disks break a promise:\n  ${lossText(losses)}`);
      });
    survives('seed', seed, disks);
    for (const kept of keptSeeds[subject.name] ?? []) survives('kept seed', kept, Math.ceil(disks / 3));

    for (const drop of ['files', 'folders'] as const) {
      test(`losses are noticed when syncs of ${drop} do nothing`, async () => {
        const losses = await explore(subject, { seed, disks: noticed, stopAtFirst: true, drop });
        assert.ok(losses.length > 0);
      });
    }
    for (const [name, mutant] of Object.entries(own)) {
      test(`losses are noticed with the mutant: ${name}`, async () => {
        const losses = await explore(subject, { seed, disks: noticed, stopAtFirst: true, mutant });
        assert.ok(losses.length > 0);
      });
    }
  });
}

/** So many disks that a broken promise shows on one of them whatever the seed. */
const noticed = 1000;
