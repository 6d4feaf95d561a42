import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import { toolEnvironment } from '../tools.ts';

/** A connection to a port of a pod: of its address, or else of its own loopback, as a pod's programs may listen on. */
export async function forwardTo(port: number, ip: string, networkPath: string | undefined): Promise<Duplex> {
  try {
    const socket = connect({ host: ip, port, allowHalfOpen: true });
    await once(socket, 'connect');
    return socket;
  } catch (error) {
    if (networkPath === undefined || (error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw error;
    return viaLoopback(port, networkPath);
  }
}

/** Copies between a connection, in the network in which it runs, and its own input and output. */
const relay = `
const { stdin, stdout, stderr, argv, exit } = process;
const socket = require('node:net').connect({ host: 'localhost', port: Number(argv[1]), allowHalfOpen: true });
socket.once('error', ({ code }) => { stderr.write(String(code)); exit(1); });
socket.once('connect', () => {
  stderr.write('connected');
  stdin.pipe(socket).pipe(stdout);
  socket.on('error', () => exit(1));
  stdout.on('error', () => exit(1));
});`;

async function viaLoopback(port: number, networkPath: string): Promise<Duplex> {
  const args = [`--net=${networkPath}`, process.execPath, '-e', relay, String(port)];
  const child = spawn('nsenter', args, { env: { ...toolEnvironment }, stdio: ['pipe', 'pipe', 'pipe'] });
  const { stdin, stdout, stderr } = child;
  for (const stream of [stdin, stdout, stderr]) stream.on('error', () => {}); // Its end is the connection's.
  const failed = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`connect to localhost:${port} in the pod: connection refused`)));
  });
  failed.catch(() => {}); // Once it is connected, its end is no failure.
  const [said] = await Promise.race([once(stderr, 'data'), failed]);
  if (String(said) !== 'connected') {
    child.kill('SIGKILL');
    throw Object.assign(new Error(`connect to localhost:${port} in the pod: ${said}`), { code: String(said) });
  }
  const connection = Duplex.from({ readable: stdout, writable: stdin });
  connection.once('close', () => child.kill('SIGKILL'));
  return connection;
}
