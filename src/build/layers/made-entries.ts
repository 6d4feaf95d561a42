import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { join, posix } from 'node:path';
import { BuildFailure, type BuildFailureReason } from '../failure.ts';
import { compareBytes } from '../source/source.ts';
import type { TarEntry } from './tar.ts';

/**
 * The entries of a layer of what a step has made: `folder` of `root`, at `at` in the image, empty folders too. A link
 * that leads out of the root is the step's failure.
 */
export function* madeEntries(
  root: string,
  made: { folder: string; at: string; leaveOut: readonly string[]; reason: BuildFailureReason },
): Generator<TarEntry, void> {
  yield { type: 'folder', path: posix.dirname(made.at) };
  const pending = [made.folder];
  for (let inner = pending.pop(); inner !== undefined; inner = pending.pop()) {
    const file = join(root, inner);
    const path = `${made.at}${inner.slice(made.folder.length)}`;
    const status = lstatSync(file);
    if (status.isDirectory()) {
      yield { type: 'folder', path };
      const within = readdirSync(file).sort(compareBytes).reverse();
      pending.push(...within.map((name) => `${inner}/${name}`).filter((each) => !made.leaveOut.includes(each)));
    } else if (status.isSymbolicLink()) {
      const target = readlinkSync(file);
      if (leavesTheRoot(inner, target)) {
        throw new BuildFailure(made.reason, `${inner} is a link out of the app, to ${target}`);
      }
      yield { type: 'symlink', path, target };
    } else if (status.isFile()) {
      const content = { file, sizeBytes: status.size };
      yield { type: 'file', path, content, isExecutable: (status.mode & 0o100) !== 0 };
    }
  }
}

function leavesTheRoot(inner: string, target: string): boolean {
  const resolved = posix.normalize(posix.join(posix.dirname(inner), target));
  return target.startsWith('/') || resolved === '..' || resolved.startsWith('../');
}
