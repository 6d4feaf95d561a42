import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { ListenHandle } from '../../observe/listen.ts';
import type { GatewayLimits } from '../index.ts';
import type { Target } from '../routes/change.ts';
import type { ChildMemory, ChildStart } from './child.ts';

export interface ChildGateway {
  port: number;
  process: ChildProcess;
  rssBytes(): Promise<number>;
  /** Ends it as the kernel would: at once. */
  kill(): Promise<void>;
}

export interface ChildGatewayOptions {
  target?: Partial<Target>;
  limits?: Partial<GatewayLimits>;
  handle?: ListenHandle;
}

/** A gateway in a process of its own, before the endpoints at `ports`. */
export async function startChildGateway(
  ports: number[],
  { target = {}, limits = {}, handle }: ChildGatewayOptions = {},
): Promise<ChildGateway> {
  const child = fork(new URL('child.ts', import.meta.url), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const exited = once(child, 'exit');
  const ask = async <T>(message: object | string, sent?: unknown): Promise<T> => {
    const answered = once(child, 'message');
    child.send(message, sent as Parameters<typeof child.send>[1]);
    const ended = exited.then(([code, signal]): never => {
      throw new Error(`the gateway's process ended by itself: ${signal ?? code}`);
    });
    const [answer] = await Promise.race([answered, ended]);
    return answer as T;
  };
  const start: ChildStart = { ports, target, limits };
  const { port } = await ask<{ port: number }>(start, handle);
  return {
    port,
    process: child,
    rssBytes: async () => (await ask<ChildMemory>('memory')).rssBytes,
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
