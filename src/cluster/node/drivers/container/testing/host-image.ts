import { execFileSync } from 'node:child_process';
import { constants, copyFileSync, existsSync, mkdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { findProgram } from '../../../../../lib/system-programs.ts';
import type { Image, ImageConfig } from '../../../images/image.ts';

const shells = ['sh', 'sleep', 'cat', 'echo', 'stty', 'true', 'ls', 'id', 'kill', 'mkdir', 'rm', 'head', 'dd', 'grep'];

/** An image in `dir` that is unpacked already: one layer, with some of this machine's programs and their libraries. */
export function hostImage(
  dir: string,
  { config = {}, node = false }: { config?: Partial<ImageConfig>; node?: boolean } = {},
): Image {
  const root = join(dir, 'root');
  for (const folder of ['bin', 'etc', 'tmp', 'proc', 'sys', 'dev']) mkdirSync(join(root, folder), { recursive: true });
  const programs = shells.flatMap((name) => findProgram(name) ?? []);
  if (node) programs.push(process.execPath);
  const libraries = execFileSync('ldd', programs, { encoding: 'utf8' });
  for (const [, path = ''] of libraries.matchAll(/(\/\S+) \(0x/g)) copy(realpathSync(path), join(root, path));
  for (const program of programs) {
    const name = program === process.execPath ? 'node' : basename(program);
    copy(realpathSync(program), join(root, 'bin', name));
  }
  return {
    digest: `sha256:${Buffer.from(root).toString('hex').padEnd(64, '0').slice(-64)}`,
    config: {
      entrypoint: [],
      cmd: [],
      env: [],
      workingDir: '/',
      user: '',
      labels: {},
      platform: 'linux/amd64',
      ...config,
    },
    base: [],
    layers: [{ digest: '', root, whiteouts: [], opaques: [], implicit: [], sizeBytes: 0 }],
  };
}

function copy(from: string, to: string): void {
  if (existsSync(to)) return;
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to, constants.COPYFILE_FICLONE);
}
