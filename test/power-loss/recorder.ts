import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Entry, parseJournal } from './journal.ts';

/** Source text of the product that is put in the place of another, to see that the suite notices. */
export interface Mutant {
  /** From the root of the repository. */
  file: string;
  from: string;
  to: string;
}

export interface RecordOptions {
  /** Of the module that does the work; it finds the folder in POWER_LOSS_ROOT. */
  workload: URL;
  args: string[];
  /** Watched; where the work is done. */
  folder: string;
  /** Where the journal and the notes go. */
  beside: string;
  /** Which syncs lie. */
  drop?: 'files' | 'folders' | 'files,folders' | undefined;
  mutant?: Mutant | undefined;
}

const source = fileURLToPath(new URL('recorder.c', import.meta.url));

/** Why the suite cannot run here, or undefined. */
export function whyNot(): string | undefined {
  if (process.platform !== 'linux') return `it preloads a library as Linux does, and this is ${process.platform}`;
  try {
    execFileSync(compiler, ['--version'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return `there is no C compiler: install gcc, or name one by CC (now "${compiler}")`;
  }
}

const compiler = process.env.CC ?? 'cc';

/** The library, compiled once for each version of its source, outside of the repository. */
function library(): string {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'kittiwake-power-loss');
  const version = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16);
  const path = join(cache, `recorder-${process.arch}-${version}.so`);
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  const made = `${path}.${process.pid}`;
  const flags = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', '-o', made, source, '-ldl', '-lpthread'];
  execFileSync(compiler, flags, { stdio: ['ignore', 'inherit', 'inherit'] });
  renameSync(made, path);
  return path;
}

/** Runs the workload to its end, and returns all that it did to its folder and the notes that it made. */
export async function record(options: RecordOptions): Promise<Entry[]> {
  const { workload, args, folder, beside, drop, mutant } = options;
  const journal = join(beside, 'journal');
  const notes = join(beside, 'notes');
  writeFileSync(journal, '');
  writeFileSync(notes, '');
  const boot = join(beside, 'boot-id');
  writeFileSync(boot, `${randomUUID()}\n`);
  const hook = fileURLToPath(new URL('mutate.ts', import.meta.url));
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--import', hook, fileURLToPath(workload), ...args],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        HOME: beside,
        TMPDIR: beside,
        LD_PRELOAD: library(),
        POWER_LOSS_ROOT: folder,
        POWER_LOSS_JOURNAL: journal,
        POWER_LOSS_NOTES: notes,
        POWER_LOSS_BOOT_ID: boot,
        ...(drop === undefined ? {} : { POWER_LOSS_DROP: drop }),
        ...(mutant === undefined ? {} : { POWER_LOSS_MUTANT: JSON.stringify(mutant) }),
      },
    },
  );
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString('utf8');
  });
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString('utf8');
  });
  const end = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal));
  });
  if (end !== 0) throw new Error(`the workload ended with ${end}:\n${output}`);
  return parseJournal(readFileSync(journal));
}
