/** The thread side of files.ts: does the jobs that block on the disk. */
import { parentPort } from 'node:worker_threads';
import type { FileJob } from './files.ts';
import { removeTree } from './remove-tree.ts';
import { syncTree } from './sync-tree.ts';
import { unpackLayer } from './unpack.ts';
import { makeCopy, restoreCopy } from './working-copy.ts';

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
    case 'copy':
      return makeCopy(job.options);
    case 'restore':
      return restoreCopy(job.place, job.cache);
    case 'sync':
      return syncTree(job.path);
    case 'remove':
      return removeTree(job.path);
  }
}
