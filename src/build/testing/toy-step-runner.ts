import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StepRunner } from '../steps/step-runner.ts';

/** Runs the steps of the toy language without any process; `ran` is told of each. */
export function toyStepRunner(ran: string[]): StepRunner {
  return {
    async run({ command: [program, recipe] }, { folder, print }, signal) {
      signal.throwIfAborted();
      ran.push(String(program));
      print(`${program} begins\n`);
      if (program === 'shop') {
        mkdirSync(join(folder, 'pantry'));
        copyFileSync(join(folder, 'recipe.txt'), join(folder, 'pantry/list'));
        writeFileSync(join(folder, 'pantry/receipt'), String(Math.random()));
      } else if (recipe === 'burnt') {
        print('the oven was too hot\n');
        return { exitCode: 3 };
      } else writeFileSync(join(folder, 'cake.txt'), `of ${recipe}`);
      return { exitCode: 0 };
    },
  };
}
