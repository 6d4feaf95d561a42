/**
 * Runs a suite by name: `bin/node test/run.ts [check|unit|e2e|kubectl|power-loss …]`. Without a name: all that must
 * pass on a bare machine (check, unit, e2e). Suites that need more than Node, npm and git are run only by name; each
 * says in its own output when what it needs is missing.
 */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

const suites: Record<string, () => Promise<boolean>> = {
  check: async () =>
    (await run('format and lint', [
      'node_modules/@biomejs/biome/bin/biome',
      'check',
      '--error-on-warnings',
      '--max-diagnostics=200',
    ])) && (await run('types', ['node_modules/typescript/bin/tsc', '--noEmit', '-p', '.'])),
  unit,
  e2e: () => tests('e2e', ['--test-concurrency=2'], ['test/e2e/*.test.ts']),
  'power-loss': () => tests('power-loss', ['--test-concurrency=2'], ['test/power-loss/*.test.ts']),
  hostile: () => tests('hostile', [], ['test/hostile/*.test.ts']),
  kubectl: () => tests('kubectl', ['--test-concurrency=1'], ['test/kubectl/*.test.ts']),
  containers: () => tests('containers', ['--test-concurrency=1'], ['test/containers/*.test.ts']),
  seam: () => tests('seam', ['--test-concurrency=1'], ['test/seam/*.test.ts']),
  simulation: () => run('simulation', ['--disable-warning=ExperimentalWarning', 'test/simulation/run.ts']),
  mutation: () => run('mutants of the core', ['--disable-warning=ExperimentalWarning', 'test/mutation/run.ts']),
};
const testFlags = ['--test', '--test-reporter=spec', '--test-timeout=300000'];
const suitesOnBareMachine = ['check', 'unit', 'e2e'];

const asked = process.argv.slice(2);
const unknown = asked.find((name) => !(name in suites));
if (unknown !== undefined) {
  console.error(`there is no suite "${unknown}": choose from ${Object.keys(suites).join(', ')}`);
  process.exit(2);
}
const failed: string[] = [];
for (const name of asked.length > 0 ? asked : suitesOnBareMachine) if (!(await suites[name]?.())) failed.push(name);
console.log(failed.length === 0 ? '\nall suites passed' : `\nfailed: ${failed.join(', ')}`);
process.exit(failed.length === 0 ? 0 : 1);

/** Three processes side by side, each with every third file: most of what these tests take is waiting. */
async function unit(): Promise<boolean> {
  const files = filesOf([
    'src/**/*.test.ts',
    'runtimes/**/*.test.ts',
    'test/*.test.ts',
    'test/{mutation,conformance}/*.test.ts',
  ]);
  const runs: Promise<boolean>[] = [];
  for (let part = 0; part < 3; part++) {
    const own = files.filter((_, at) => at % 3 === part);
    const title = `unit tests, ${part + 1} of 3 (${own.length} files)`;
    runs.push(run(title, [...testFlags, '--test-isolation=none', ...own], runs.at(-1)));
  }
  return (await Promise.all(runs)).every(Boolean);
}

function tests(name: string, flags: string[], patterns: string[]): Promise<boolean> {
  const files = filesOf(patterns);
  return run(`${name} tests (${files.length} files)`, [...testFlags, ...flags, ...files]);
}

function filesOf(patterns: string[]): string[] {
  return globSync(patterns, { cwd: root, exclude: ['**/node_modules/**'] }).sort();
}

/** Runs Node to its end. What it prints is shown as it comes, or, with `after`, when that has ended, too. */
function run(title: string, args: string[], after?: Promise<unknown>): Promise<boolean> {
  const heading = `\n== ${title}`;
  if (!after) console.log(heading);
  const output = after ? 'pipe' : 'inherit';
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', output, output] });
  const printed: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => printed.push(chunk));
  return new Promise((resolve) => {
    child.once('close', async (code) => {
      await after;
      if (after) process.stdout.write(`${heading}\n${Buffer.concat(printed)}`);
      resolve(code === 0);
    });
  });
}
