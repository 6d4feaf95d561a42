import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterwards, type Scope } from '../../../lib/testing/afterwards.ts';
import { temporaryFolder } from '../../../lib/testing/temporary-folder.ts';
import type { Answer, Order } from './program.ts';

type AskOptions = Partial<Pick<Order, 'protocol' | 'from' | 'limitMs'>>;

/** A program in a network namespace: a pod's, or the host's. */
export interface TestProgram {
  pid: number;
  listen(port: number, options?: { protocol?: 'tcp' | 'udp'; host?: string }): Promise<void>;
  /** What is answered there: the name of who answers, and whom that saw asking. Rejects with the error's code. */
  ask(host: string, port: number, options?: AskOptions): Promise<string>;
}

/** A network namespace kept by a file, as the node's sandboxes make them. */
export function testNetns(t: Scope): string {
  const path = join(temporaryFolder(t), 'net');
  writeFileSync(path, '');
  execFileSync('unshare', [`--net=${path}`, 'true']);
  afterwards(t, () => {
    execFileSync('umount', [path]);
    rmSync(path);
  });
  return path;
}

/** Starts a program of that name, in the namespace at `netns` or here. */
export function testProgram(t: Scope, name: string, netns?: string): TestProgram {
  const program = fileURLToPath(new URL('program.ts', import.meta.url));
  const argv = [...(netns === undefined ? [] : ['nsenter', `--net=${netns}`]), process.execPath, program, name];
  const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  afterwards(t, () => endOf(child));
  const waiting = new Map<number, (answer: Answer) => void>();
  child.on('message', (answer: Answer) => waiting.get(answer.id)?.(answer));
  child.once('exit', () => {
    for (const [id, answer] of waiting) answer({ id, error: 'the program has ended' });
  });
  let last = 0;
  const order = async (wanted: Omit<Order, 'id'>): Promise<string> => {
    const id = ++last;
    const answer = await new Promise<Answer>((resolve) => {
      waiting.set(id, resolve);
      child.send({ ...wanted, id });
    });
    waiting.delete(id);
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.text ?? '';
  };
  return {
    pid: child.pid ?? 0,
    async listen(port, { protocol = 'tcp', host = '0.0.0.0' } = {}) {
      await order({ do: 'listen', protocol, host, port });
    },
    ask: (host, port, options = {}) => order({ do: 'ask', protocol: 'tcp', host, port, ...options }),
  };
}

async function endOf(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await ended;
}
