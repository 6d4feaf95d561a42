/** For a test of the switch: starts a process that never gives its event loop a turn, watches it, and says its pid. */
import { spawn } from 'node:child_process';
import { DeadMansSwitch } from '../dead-mans-switch.ts';

const stuck = spawn(process.execPath, ['-e', 'for (;;);', 'src/server/role.ts'], { stdio: 'ignore' });
const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', 'another program'], { stdio: 'ignore' });
const deadMansSwitch = new DeadMansSwitch('server/role.ts', 0);
deadMansSwitch.watch([stuck.pid ?? 0, stranger.pid ?? 0]);
process.stdout.write(`${stuck.pid} ${stranger.pid}\n`);
process.on('SIGTERM', () => {
  deadMansSwitch.disarm();
  setTimeout(() => process.exit(0), 300);
});
