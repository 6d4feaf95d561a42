import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { StartError } from '../../driver.ts';

export interface Search {
  /** The container's working copy of the image's root. */
  root: string;
  /** The folder in which relative names are looked up. */
  cwd: string;
  /** The PATH that the pod or the image asks for. */
  path: string | undefined;
}

const hostPath = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/sbin', '/sbin'];

/** The pinned Node first, then the image's own folders, then the machine's: an image without a base needs a shell. */
export function searchPath({ root, path }: Pick<Search, 'root' | 'path'>): string[] {
  const asked = (path ?? '').split(':').filter((folder) => folder.startsWith('/'));
  const inImage = asked.map((folder) => join(root, folder)).filter((folder) => existsSync(folder));
  return [...new Set([dirname(process.execPath), ...inImage, ...asked, ...hostPath])];
}

/**
 * The command with its program found and with arguments that are paths of the image's root (`/app/server.js`) turned
 * into those of the working copy: a process of the host has no root of its own. Throws StartError naming the program.
 */
export function resolveCommand(argv: readonly string[], search: Search): string[] {
  const [program = '', ...args] = argv;
  return [findProgram(program, search), ...args.map((argument) => intoRoot(argument, search.root))];
}

function findProgram(program: string, search: Search): string {
  const candidates = program.startsWith('/')
    ? [join(search.root, program), program]
    : program.includes('/')
      ? [join(search.cwd, program)]
      : searchPath(search).map((folder) => join(folder, program));
  const found = candidates.find(isExecutable);
  if (found !== undefined) return found;
  // Images bring their Node under various paths; ours is the one to use when theirs is not in the image.
  if (/^\/(usr\/(local\/)?)?bin\/node$/.test(program)) return process.execPath;
  const isPath = program.includes('/');
  const existing = candidates.find((candidate) => existsSync(candidate));
  throw new StartError(
    'CreateContainerError',
    existing === undefined
      ? `exec: "${program}": ${isPath ? 'no such file or directory' : 'executable file not found in $PATH'}`
      : `exec: "${program}": permission denied: it is not an executable file`,
  );
}

function intoRoot(argument: string, root: string): string {
  if (!argument.startsWith('/') || argument === '/') return argument;
  const inside = join(root, argument);
  return inside.startsWith(`${root}/`) && existsSync(inside) ? inside : argument;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // Not there, or not for us to run: the next candidate may be.
  }
}
