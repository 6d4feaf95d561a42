/** The thread side of file-thread.ts: does the jobs that block on the disk. */
import { type MessagePort, parentPort } from 'node:worker_threads';
import type { FileJob } from './file-thread.ts';
import { makeFolderLayer } from './implicit-folders.ts';
import { receivedContent } from './layer-stream.ts';
import { removeTree } from './remove-tree.ts';
import { syncTree } from './sync-tree.ts';
import { unpackLayer } from './unpack.ts';
import { makeCopy, restoreCopy } from './working-copy.ts';

let previous: Promise<unknown> = Promise.resolve();

parentPort?.on('message', (asked: Asked) => {
  // Layers side by side: each takes what has come of it, or its registry would find that nobody listens.
  if (asked.job.type === 'unpack')
    void answer(asked); // Never rejects.
  else previous = previous.then(() => answer(asked));
});

interface Asked {
  id: number;
  job: FileJob;
  port?: MessagePort;
}

async function answer({ id, job, port }: Asked): Promise<void> {
  try {
    parentPort?.postMessage({ id, result: await run(job, port) });
  } catch (error) {
    port?.close();
    parentPort?.postMessage({ id, error });
  }
}

async function run(job: FileJob, port: MessagePort | undefined): Promise<unknown> {
  switch (job.type) {
    case 'unpack':
      return port && (await unpackLayer(receivedContent(port), job.options));
    case 'copy':
      return makeCopy(job.options);
    case 'restore':
      return restoreCopy(job.place, job.cache);
    case 'folders':
      return makeFolderLayer(job.layers, job.target);
    case 'sync':
      return syncTree(job.path);
    case 'remove':
      return removeTree(job.path);
  }
}
