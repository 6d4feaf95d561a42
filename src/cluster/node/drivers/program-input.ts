import { closeSync, constants, openSync, rmSync } from 'node:fs';
import type { Container } from '../../../api/core/pod-spec.ts';
import { runTool } from './tools.ts';

/**
 * What a program reads that has `stdin: true`: a FIFO, which whoever attaches writes to. The program holds that end
 * itself, too, so that it sees no end of it, whoever goes. With `stdinOnce` the agent holds it, until the first who
 * attached has gone: then the program is at the end of its input, as it is when the agent goes.
 */
export interface ProgramInput {
  path: string;
  /** For the program's standard input; to be closed when it has been started. */
  fd: number;
  /** What the agent holds of it, to be closed when nobody is to write any more. */
  heldFd: number | undefined;
}

export const hasInput = ({ stdin, tty }: Pick<Container, 'stdin' | 'tty'>): boolean => stdin === true || tty === true;

/** Whether the first who attaches ends it by going. */
export const endsOnce = ({ stdin, stdinOnce }: Pick<Container, 'stdin' | 'stdinOnce'>): boolean =>
  stdin === true && stdinOnce === true;

export async function makeInput(path: string, container: Container): Promise<ProgramInput> {
  rmSync(path, { force: true });
  await runTool('mkfifo', ['-m', '600', path]);
  const both = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  try {
    const isOnce = endsOnce(container);
    const fd = openSync(path, isOnce ? constants.O_RDONLY : constants.O_RDWR);
    const heldFd = isOnce ? openSync(path, constants.O_WRONLY | constants.O_NONBLOCK) : undefined;
    return { path, fd, heldFd };
  } finally {
    closeSync(both);
  }
}
