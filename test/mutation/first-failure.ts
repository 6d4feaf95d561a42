import { relative } from 'node:path';

type Event = { type: string; data: { file?: string; nesting?: number; details?: { duration_ms?: number } } };

/** Of a run without a failure. */
export interface Report {
  /** How long the tests of each file took. */
  tookMs: Record<string, number>;
  /** What all of it had of the processors. */
  processorMs: number;
}

/** A reporter that ends the run at the first failure: one is enough to have noticed a mutant. */
// biome-ignore lint/style/noDefaultExport: the test runner takes a reporter in no other form.
export default async function* firstFailure(events: AsyncIterable<Event>): AsyncGenerator<string> {
  const tookMs: Report['tookMs'] = {};
  for await (const { type, data } of events) {
    if (type === 'test:fail') process.exit(1);
    if (type !== 'test:pass' || data.nesting !== 0 || data.file === undefined) continue;
    const file = relative('', data.file);
    tookMs[file] = (tookMs[file] ?? 0) + (data.details?.duration_ms ?? 0);
  }
  const { user, system } = process.cpuUsage();
  yield JSON.stringify({ tookMs, processorMs: (user + system) / 1000 } satisfies Report);
}
