/**
 * The mutation run: `bin/node test/mutation/run.ts [PART-OF-A-FILE-NAME …]`. Each mutant of the core is run against the
 * tests of its file; one that no test notices must stand in survivors/ with the reason why it changes nothing.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { signalGroup } from '../../src/lib/processes.ts';
import { Semaphore } from '../../src/lib/semaphore.ts';
import type { Report } from './first-failure.ts';
import { type Mutant, mutantsOf } from './mutants.ts';
import { survivors } from './survivors/index.ts';
import { type Target, targets } from './targets.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** In memory where there is such a folder: the tests of logs and stores then do not wait for a disk. */
const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'kittiwake-mutants-'));
/**
 * A mutant that takes this many times as long as no mutant, and some more, runs for ever: that is noticed, too. Most of
 * those spin: what a process has had of the processors says so sooner than the clock, and on a busy machine as surely.
 */
const patience = { clock: { factor: 5, plusMs: 3_000 }, processor: { factor: 3, plusMs: 300 } };
const lookEveryMs = 100;
/** Some of them only wait: one that did nothing at so many looks in a row leaves its place to the next. */
const idleLooksMax = 10;
const places = new Semaphore(2 * availableParallelism());
const processes = new Semaphore(8 * availableParallelism());
const never = new AbortController().signal;

interface Limits {
  clockMs: number;
  processorMs: number;
}

interface Job {
  target: Target;
  mutant: Mutant;
  limits: Limits;
}

interface Outcome {
  verdict: 'noticed' | 'survived' | 'took too long';
  tookMs: number;
  /** The `Report`, when no test failed. */
  said: string;
}

const asked = process.argv.slice(2);
const chosen = targets.filter(({ file }) => asked.length === 0 || asked.some((part) => file.includes(part)));
const startedMs = performance.now();
const unexplained: string[] = [];
const explained = new Set<string>();
let count = 0;
let sequence = 0;
/** The groups of those that run: a mutant that spins would go on without us. */
const groups = new Set<number>();

process.once('exit', () => {
  for (const group of groups) signalGroup(group, 'SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const verdicts: Promise<void>[] = [];
for (const target of chosen) verdicts.push((await startTarget(target)).verdict);
await Promise.all(verdicts);
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

/** Runs the tests without a mutant, and then with each; the next target may start when the last one has its place. */
async function startTarget(target: Target): Promise<{ verdict: Promise<void> }> {
  const source = readFileSync(join(root, target.file), 'utf8');
  const code = stripTypeScriptTypes(source); // In place: what is mutated is what runs, and no process has to strip it.
  const unmutated = await runTests(target, code, { clockMs: 120_000, processorMs: 120_000 });
  if (unmutated.verdict !== 'survived') throw new Error(`the tests of ${target.file} fail without any mutant`);
  const report = JSON.parse(unmutated.said) as Report;
  const limits = {
    clockMs: unmutated.tookMs * patience.clock.factor + patience.clock.plusMs,
    processorMs: report.processorMs * patience.processor.factor + patience.processor.plusMs,
  };
  const inOrder = { ...target, tests: fastestFirst(target, report) };
  const mutants = mutantsOf(source);
  count += mutants.length;
  const judged = mutants.map((mutant) => judge({ target: inOrder, mutant, limits }, code));
  const verdict = Promise.all(judged).then((all) => {
    const found = all.filter((line) => line !== undefined);
    unexplained.push(...found);
    const baseMs = Math.round(report.processorMs);
    console.log(`\n${target.file}: ${mutants.length} mutants (${baseMs} ms of a processor without one)`);
    for (const line of found) console.log(`  SURVIVED ${line}`);
    console.log(`  ${found.length} survive without a reason`);
  });
  return { verdict };
}

/** The earlier a test fails, the less does its mutant cost. */
function fastestFirst({ tests }: Target, { tookMs }: Report): string[] {
  return [...tests].sort((a, b) => (tookMs[a] ?? 0) - (tookMs[b] ?? 0));
}

/** Resolves with the mutant that survived without a reason. */
async function judge({ target, mutant, limits }: Job, code: string): Promise<string | undefined> {
  const mutated = code.slice(0, mutant.start) + mutant.replacement + code.slice(mutant.end);
  const id = idOf(target.file, mutant.before, mutant.after);
  const isKnown = survivors.some(({ file, before, after }) => idOf(file, before, after) === id);
  let { verdict } = await runTests(target, mutated, limits);
  // One test that fails by chance, on a busy machine, refutes no reason: it has to fail again.
  if (isKnown && verdict === 'noticed') ({ verdict } = await runTests(target, mutated, limits));
  if (verdict === 'noticed') return undefined;
  // To take too long is to be noticed, but refutes no reason: the machine may be busy.
  if (isKnown) explained.add(id);
  if (isKnown || verdict !== 'survived') return undefined;
  return `${target.file}:${mutant.line}\n    - ${mutant.before}\n    + ${mutant.after}`;
}

function idOf(file: string, before: string, after: string): string {
  return `${file}\n${before}\n${after}`;
}

async function runTests(target: Target, code: string, limits: Limits): Promise<Outcome> {
  const end = await processes.enter(never);
  const leavePlace = await places.enter(never);
  const file = join(dir, `${sequence++}.js`);
  writeFileSync(file, code);
  const beganMs = performance.now();
  const report = `${file}.report`;
  const args = [
    `--test-reporter-destination=${report}`,
    `--test-reporter=${join(root, 'test/mutation/first-failure.ts')}`,
    join(root, 'test/mutation/run-tests.ts'),
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
  const group = child.pid ?? assert.fail('there is no process');
  groups.add(group);
  return new Promise((resolve) => {
    let isLate = false;
    let hadMs = 0;
    let idleLooks = 0;
    const look = setInterval(() => {
      const clockMs = performance.now() - beganMs;
      const processorMs = processorMsOf(group);
      isLate ||= clockMs > limits.clockMs || processorMs > limits.processorMs;
      if (isLate) signalGroup(group, 'SIGKILL');
      idleLooks = processorMs > hadMs ? 0 : idleLooks + 1;
      hadMs = processorMs;
      if (idleLooks === idleLooksMax) leavePlace();
    }, lookEveryMs);
    child.once('exit', (code) => {
      clearInterval(look);
      groups.delete(group);
      signalGroup(group, 'SIGKILL');
      const said = existsSync(report) ? readFileSync(report, 'utf8') : '';
      for (const written of [file, report]) rmSync(written, { force: true });
      const verdict = isLate ? 'took too long' : code === 0 ? 'survived' : 'noticed';
      leavePlace();
      end();
      resolve({ verdict, tookMs: performance.now() - beganMs, said });
    });
  });
}

/** What a process and its threads have had of the processors (proc(5), fields 14 and 15); 0 where none says so. */
function processorMsOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10; // In ticks, of which Linux tells a hundred a second.
  } catch {
    return 0; // It has just ended, or this system has no /proc: the clock decides.
  }
}
