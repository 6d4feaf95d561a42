/**
 * The mutation run: `bin/node test/mutation/run.ts [PART-OF-A-FILE-NAME …]`. Each mutant of the core is run against the
 * tests of its file; one that no test notices must stand in survivors/ with the reason why it changes nothing.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { signalGroup } from '../../src/lib/processes.ts';
import { type Mutant, mutantsOf } from './mutants.ts';
import { survivors } from './survivors/index.ts';
import { type Target, targets } from './targets.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** In memory where there is such a folder: the tests of logs and stores then do not wait for a disk. */
const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'kittiwake-mutants-'));
/** A mutant that takes this many times as long as no mutant, and some seconds, runs for ever: that is noticed, too. */
const patience = { factor: 5, plusMs: 3_000 };

interface Job {
  target: Target;
  mutant: Mutant;
  timeoutMs: number;
}

type Verdict = 'noticed' | 'survived' | 'took too long';

const asked = process.argv.slice(2);
const chosen = targets.filter(({ file }) => asked.length === 0 || asked.some((part) => file.includes(part)));
const startedMs = performance.now();
const unexplained: string[] = [];
const explained = new Set<string>();
let count = 0;
let sequence = 0;

try {
  for (const target of chosen) await runTarget(target);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
const stale = survivors.filter(
  ({ file, before, after }) => chosen.some((t) => t.file === file) && !explained.has(idOf(file, before, after)),
);
for (const { file, before, after } of stale) {
  console.log(`\nNO SURVIVOR ANY MORE, remove it from survivors/: ${file}\n  - ${before}\n  + ${after}`);
}
const seconds = Math.round((performance.now() - startedMs) / 1000);
console.log(`\n${count} mutants in ${seconds} s: ${explained.size} survive with a reason`);
console.log(`${count - unexplained.length} passed, ${unexplained.length + stale.length} failed`);
process.exit(unexplained.length + stale.length === 0 ? 0 : 1);

async function runTarget(target: Target): Promise<void> {
  const beganMs = performance.now();
  const source = readFileSync(join(root, target.file), 'utf8');
  const unmutated = await runTests(target, source, 120_000);
  if (unmutated.verdict !== 'survived') throw new Error(`the tests of ${target.file} fail without any mutant`);
  const timeoutMs = unmutated.tookMs * patience.factor + patience.plusMs;
  const jobs = mutantsOf(source).map((mutant) => ({ target, mutant, timeoutMs }));
  const before = unexplained.length;
  console.log(`\n${target.file}: ${jobs.length} mutants (${Math.round(unmutated.tookMs)} ms without one)`);
  let next = 0;
  const work = async () => {
    for (let job = jobs[next++]; job; job = jobs[next++]) await judge(job, source);
  };
  await Promise.all(Array.from({ length: 2 * availableParallelism() }, work)); // Many of them only wait.
  count += jobs.length;
  for (const line of unexplained.slice(before)) console.log(`  SURVIVED ${line}`);
  const seconds = Math.round((performance.now() - beganMs) / 1000);
  console.log(`  ${unexplained.length - before} survive without a reason (${seconds} s)`);
}

async function judge({ target, mutant, timeoutMs }: Job, source: string): Promise<void> {
  const mutated = source.slice(0, mutant.start) + mutant.replacement + source.slice(mutant.end);
  const { verdict } = await runTests(target, mutated, timeoutMs);
  if (verdict === 'noticed') return;
  const id = idOf(target.file, mutant.before, mutant.after);
  const isKnown = survivors.some(({ file, before, after }) => idOf(file, before, after) === id);
  // To take too long is to be noticed, but refutes no reason: the machine may be busy.
  if (isKnown) explained.add(id);
  else if (verdict === 'survived')
    unexplained.push(`${target.file}:${mutant.line}\n    - ${mutant.before}\n    + ${mutant.after}`);
}

function idOf(file: string, before: string, after: string): string {
  return `${file}\n${before}\n${after}`;
}

function runTests(target: Target, source: string, timeoutMs: number): Promise<{ verdict: Verdict; tookMs: number }> {
  const file = join(dir, `${sequence++}.ts`);
  writeFileSync(file, source);
  const runMs = performance.now();
  const args = [
    '--test',
    '--test-isolation=none',
    `--test-reporter=${join(root, 'test/mutation/first-failure.ts')}`,
    ...target.tests.filter((test) => existsSync(join(root, test))),
  ];
  const child = spawn(process.execPath, args, {
    cwd: root,
    detached: true, // A group of its own: what the tests start ends with them.
    stdio: 'ignore',
    env: {
      ...process.env,
      NODE_OPTIONS: `--import=${join(root, 'test/mutation/replace-source.ts')} --disable-warning=ExperimentalWarning`,
      MUTANT_OF: join(root, target.file),
      MUTANT_SOURCE: file,
      TMPDIR: dir,
      TEST_PATIENCE_MS: '2000',
      NODE_COMPILE_CACHE: join(dir, 'compiled'), // Halves what a run costs: only the mutant itself is compiled anew.
    },
  });
  return new Promise((resolve) => {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
    }, timeoutMs);
    child.once('exit', (code) => {
      clearTimeout(timer);
      if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
      rmSync(file, { force: true });
      const verdict = isLate ? 'took too long' : code === 0 ? 'survived' : 'noticed';
      resolve({ verdict, tookMs: performance.now() - runMs });
    });
  });
}
