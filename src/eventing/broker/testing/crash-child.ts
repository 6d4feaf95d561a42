/** For the test of crashes: a broker in a process of its own. Arguments: its folder. Tells its port to its parent. */
import { systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { startBroker } from '../index.ts';
import { awayClient } from './fixture.ts';

const [dir = ''] = process.argv.slice(2);
const broker = await startBroker({ client: awayClient, dir, port: 0, clock: systemClock, log: silentLogger });
process.on('disconnect', () => process.exit());
process.send?.({ port: broker.port });
