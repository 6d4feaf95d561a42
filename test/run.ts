/**
 * Runs a suite by name: `bin/node test/run.ts [check|unit|e2e|kubectl|power-loss …]`. Without a name: all that must
 * pass on a bare machine (check, unit, e2e). Suites that need more than Node, npm and git are run only by name; each
 * says in its own output when what it needs is missing.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

const suites: Record<string, () => boolean> = {
  check: () =>
    run('format and lint', [
      'node_modules/@biomejs/biome/bin/biome',
      'check',
      '--error-on-warnings',
      '--max-diagnostics=200',
    ]) && run('types', ['node_modules/typescript/bin/tsc', '--noEmit', '-p', '.']),
  unit: () =>
    tests(
      'unit',
      ['--test-isolation=none'],
      ['src/**/*.test.ts', 'runtimes/**/*.test.ts', 'test/*.test.ts', 'test/mutation/*.test.ts'],
    ),
  e2e: () => tests('e2e', ['--test-concurrency=1'], ['test/e2e/*.test.ts']),
  'power-loss': () => tests('power-loss', ['--test-concurrency=2'], ['test/power-loss/*.test.ts']),
  hostile: () => tests('hostile', [], ['test/hostile/*.test.ts']),
  kubectl: () => tests('kubectl', ['--test-concurrency=1'], ['test/kubectl/*.test.ts']),
  seam: () => tests('seam', ['--test-concurrency=1'], ['test/seam/*.test.ts']),
  simulation: () => run('simulation', ['--disable-warning=ExperimentalWarning', 'test/simulation/run.ts']),
  mutation: () => run('mutants of the core', ['--disable-warning=ExperimentalWarning', 'test/mutation/run.ts']),
};
const suitesOnBareMachine = ['check', 'unit', 'e2e'];

const asked = process.argv.slice(2);
const unknown = asked.find((name) => !(name in suites));
if (unknown !== undefined) {
  console.error(`there is no suite "${unknown}": choose from ${Object.keys(suites).join(', ')}`);
  process.exit(2);
}
const failed = (asked.length > 0 ? asked : suitesOnBareMachine).filter((name) => !suites[name]?.());
console.log(failed.length === 0 ? '\nall suites passed' : `\nfailed: ${failed.join(', ')}`);
process.exit(failed.length === 0 ? 0 : 1);

function tests(name: string, flags: string[], patterns: string[]): boolean {
  const files = globSync(patterns, { cwd: root, exclude: ['**/node_modules/**'] }).sort();
  return run(`${name} tests (${files.length} files)`, [
    '--test',
    '--test-reporter=spec',
    '--test-timeout=300000',
    ...flags,
    ...files,
  ]);
}

function run(title: string, args: string[]): boolean {
  console.log(`\n== ${title}`);
  const result = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  return result.status === 0;
}
