/** A control process, for a test that kills it: builds the source in its second argument for the job in its first. */
import { WorkerPool } from '../worker/pool.ts';

const [job = '', program = ''] = process.argv.slice(2);
const pool = new WorkerPool({ graceSeconds: 0, ...(program === '' ? {} : { program }) });
void pool.build(JSON.parse(job), () => {}, new AbortController().signal).catch(() => {}); // It is killed.
process.stdout.write(`${pool.pids[0]}\n`);
