/** Loaded before everything else in a mutant's processes and threads: gives one module another source. */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';

const url = pathToFileURL(process.env.MUTANT_OF ?? '').href;
const source = process.env.MUTANT_SOURCE ?? '';

registerHooks({
  load(found, context, next) {
    if (found !== url) return next(found, context);
    return { format: 'module-typescript', source: readFileSync(source, 'utf8'), shortCircuit: true };
  },
});
