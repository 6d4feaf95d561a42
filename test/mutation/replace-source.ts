/** Loaded before everything else in a mutant's processes and threads: gives one module another source. */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';

const url = pathToFileURL(process.env.MUTANT_OF ?? '').href;
const source = process.env.MUTANT_SOURCE ?? '';

registerHooks({
  load(found, context, next) {
    if (found === url) return { format: 'module', source: readFileSync(source, 'utf8'), shortCircuit: true };
    const loaded = next(found, context);
    // The same cases in every run: otherwise it would be chance which mutants a property notices.
    if (found.endsWith('/fast-check/lib/fast-check.js')) loaded.source += '\nconfigureGlobal({ seed: 1 });\n';
    return loaded;
  },
});
