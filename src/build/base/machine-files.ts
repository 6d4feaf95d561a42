import { execFile } from 'node:child_process';
import { existsSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { compareBytes } from '../source/source.ts';

/** A file of this machine, and where it is in an image: no leading slash. */
export interface MachineFile {
  file: string;
  path: string;
  sizeBytes: number;
  modifiedMs: number;
}

/** What glibc opens by itself when a name is looked up; newer ones hold it already. */
const openedByLibc = ['libnss_files.so.2', 'libnss_dns.so.2', 'libresolv.so.2'];

/** Programs of this machine with the shared libraries that they load, each once, in the order of their paths. */
export async function withLibraries(programs: readonly { file: string; path: string }[]): Promise<MachineFile[]> {
  const found = new Map<string, MachineFile>();
  for (const { file, path } of programs) {
    found.set(path, machineFile(file, path));
    for (const library of await librariesOf(file)) found.set(library.slice(1), machineFile(library, library.slice(1)));
  }
  return [...found.values()].sort((a, b) => compareBytes(a.path, b.path));
}

/** Behind its links, if it is one. */
export function machineFile(file: string, path: string): MachineFile {
  const real = realpathSync(file);
  const { size, mtimeMs } = statSync(real);
  return { file: real, path, sizeBytes: size, modifiedMs: mtimeMs };
}

/** As the loader finds them; none for a static program. */
async function librariesOf(program: string): Promise<string[]> {
  const listed = await run('ldd', program);
  const libraries = listed.split('\n').flatMap((line) => /(?:=> |^\s*)(\/\S+) \(0x/.exec(line)?.[1] ?? []);
  const libc = libraries.find((path) => basename(path) === 'libc.so.6');
  const opened = libc === undefined ? [] : openedByLibc.map((name) => join(dirname(libc), name));
  return [...libraries, ...opened.filter((path) => existsSync(path))];
}

function run(command: string, ...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      command,
      args,
      { timeout: 10_000, env: { LC_ALL: 'C', PATH: process.env.PATH } },
      (error, stdout, stderr) => {
        if (!error) resolve(stdout);
        else if (/not a dynamic executable|statically linked/.test(stdout + stderr)) resolve('');
        else reject(new Error(`${command} ${args.join(' ')} failed: ${stderr || error.message}`));
      },
    );
  });
}
