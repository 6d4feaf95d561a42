/** Runs test files in this process in the order in which they are named, which `node --test` would sort by name. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

for (const file of process.argv.slice(2)) await import(pathToFileURL(resolve(file)).href);
