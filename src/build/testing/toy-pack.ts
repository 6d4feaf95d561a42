import type { Pack, Step } from '../packs/pack.ts';
import { textOf } from '../source/source.ts';

const step = (command: string[], progress: string): Step => ({
  progress,
  shown: command.join(' '),
  command,
  env: {},
  path: [],
  usesNetwork: false,
  runsForeignCode: false,
  failure: { reason: 'CompileFailed', message: 'the cake did not come out' },
});

/** A language for tests: a recipe is baked into a cake, with a pantry of ingredients that are fetched once. */
export const toyPack: Pack = {
  name: 'toy',
  version: '1',
  looksFor: ['recipe.txt'],
  detect: (source) => (source.entries.has('recipe.txt') ? { because: 'there is a recipe.txt' } : undefined),
  plan(source) {
    const recipe = textOf(source, 'recipe.txt')?.trim() ?? '';
    return {
      notes: [`a recipe of ${recipe.length} characters`],
      compile: { step: step(['bake', recipe], 'baking'), leaveOut: [], caches: [] },
      dependencies: {
        key: `toy-${recipe}`,
        input: { paths: ['recipe.txt'], replaced: { 'recipe.txt': `only ${recipe}` } },
        notes: [],
        step: step(['shop'], 'shopping'),
        createdBy: 'pantry',
        folder: 'pantry',
        at: 'app/pantry',
        leaveOut: ['pantry/receipt'],
      },
    };
  },
  base: async () => [
    {
      key: 'toy-plate',
      createdBy: 'plate',
      because: 'out of the cupboard',
      entries: () => [{ type: 'folder', path: 'plate', mode: 0o1777 }],
    },
  ],
  start: async (app) => ({
    because: `a cake, ${textOf(app, 'cake.txt')}`,
    entrypoint: ['eat', 'cake.txt'],
    layers: [],
    labels: { toy: 'yes' },
  }),
  explain: (_step, output) => output.trim().split('\n').slice(-1),
};
