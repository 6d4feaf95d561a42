/** The thread side of files.ts: does the jobs that block on the disk. */
import { rmSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import type { FileJob } from './files.ts';
import { mergeLayers } from './merge.ts';
import { unpackLayer } from './unpack.ts';

let previous: Promise<unknown> = Promise.resolve();

parentPort?.on('message', ({ id, job }: { id: number; job: FileJob }) => {
  previous = previous.then(async () => {
    try {
      parentPort?.postMessage({ id, result: await run(job) });
    } catch (error) {
      parentPort?.postMessage({ id, error });
    }
  });
});

async function run(job: FileJob): Promise<unknown> {
  switch (job.type) {
    case 'unpack':
      return await unpackLayer(job.options);
    case 'merge':
      return mergeLayers(job.layers, job.target);
    case 'remove':
      return rmSync(job.path, { recursive: true, force: true, maxRetries: 3 });
  }
}
