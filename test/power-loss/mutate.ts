/** Preloaded into workloads: puts the mutant that POWER_LOSS_MUTANT describes in the place of the product's source. */
import { registerHooks } from 'node:module';
import type { Mutant } from './recorder.ts';

const text = process.env.POWER_LOSS_MUTANT;
if (text !== undefined) {
  const mutant = JSON.parse(text) as Mutant;
  const url = new URL(`../../${mutant.file}`, import.meta.url).href;
  registerHooks({
    load(loaded, context, nextLoad) {
      const module = nextLoad(loaded, context);
      if (loaded !== url) return module;
      const source = String(module.source);
      if (source.split(mutant.from).length !== 2) throw new Error(`${mutant.file} has not once: ${mutant.from}`);
      return { ...module, source: source.replace(mutant.from, () => mutant.to) };
    },
  });
}
