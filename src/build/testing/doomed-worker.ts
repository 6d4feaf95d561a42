/**
 * A build's process that comes to its end by the builds that say so, as an unknown defect of ours would bring it there.
 * A source with the inline files `doom` (how) and `note` (a path) dooms each attempt, which is counted in the note.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import type { FromWorker, ToWorker } from '../worker/protocol.ts';

process.on('message', (message: ToWorker) => {
  if (message.type !== 'build') return;
  const { doom, note } = message.job.spec.source.files ?? {};
  if (doom === undefined || note === undefined) return;
  appendFileSync(note, `${process.pid}\n`);
  const attempts = readFileSync(note, 'utf8').trim().split('\n').length;
  if (doom === 'crash') void Promise.reject(new Error('planted: nobody catches this')); // Ends the process.
  if (doom === 'abort') process.abort();
  if (doom === 'hang') hang();
  if (doom === 'memory') fillHeap();
  if (doom === 'killed once' && attempts === 1) process.kill(process.pid, 'SIGKILL');
});

await import('../worker/main.ts');

/** It has been alive: it is no longer granted the time that a start takes. */
function hang(): void {
  process.send?.({ type: 'beat' } satisfies FromWorker);
  for (;;);
}

function fillHeap(): void {
  const held: number[][] = [];
  for (;;) held.push(Array.from({ length: 100_000 }, Math.random));
}
