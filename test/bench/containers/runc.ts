import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firstAnswerMs } from './first-answer.ts';

/** The OCI runtime by itself: a bundle of one program, in the machine's network, which spares it to make one. */
export class BareRuntime {
  readonly #dir = mkdtempSync(join(tmpdir(), 'kittiwake-bench-runc-'));
  readonly #command: readonly string[];
  #count = 0;

  constructor({ program, command }: { program: string; command: readonly string[] }) {
    this.#command = command;
    mkdirSync(join(this.#dir, 'rootfs'));
    copyFileSync(program, join(this.#dir, 'rootfs/busybox'));
    execFileSync('runc', ['spec'], { cwd: this.#dir });
  }

  /** Of a container of its own, which is gone afterwards. */
  async firstAnswerMs(): Promise<number> {
    const port = 20_000 + this.#count;
    const id = `bench-${process.pid}-${this.#count++}`;
    this.#configure(port);
    const options = ['--root', join(this.#dir, 'state')];
    const begunMs = performance.now();
    const child = spawn('runc', [...options, 'run', id], { cwd: this.#dir, stdio: 'ignore' });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    try {
      await firstAnswerMs('127.0.0.1', port, 'bare');
      return performance.now() - begunMs;
    } finally {
      spawnSync('runc', [...options, 'kill', id, 'KILL']);
      await ended;
    }
  }

  close(): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #configure(port: number): void {
    const file = join(this.#dir, 'config.json');
    const spec = JSON.parse(readFileSync(file, 'utf8'));
    spec.process = { ...spec.process, terminal: false, args: [...this.#command, String(port)], rlimits: [] };
    spec.linux.namespaces = spec.linux.namespaces.filter(({ type }: { type: string }) => type !== 'network');
    writeFileSync(file, JSON.stringify(spec));
  }
}
