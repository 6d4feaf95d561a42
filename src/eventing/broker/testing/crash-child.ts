/**
 * For tests that need a broker in a process of its own: to kill it, or to see what memory it takes. Arguments: its
 * folder. Tells its port to its parent, and its memory whenever it is asked.
 */
import { systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { startBroker } from '../index.ts';
import { awayClient, logsIn } from './fixture.ts';

const [dir = ''] = process.argv.slice(2);
const backend = logsIn(dir);
const broker = await startBroker({ client: awayClient, dir, backend, port: 0, clock: systemClock, log: silentLogger });
process.on('disconnect', () => process.exit());
process.on('message', () => process.send?.({ rssBytes: process.memoryUsage.rss() }));
process.send?.({ port: broker.port });
