import { connect } from 'node:net';
import type { Container, Probe } from '../../../api/core/pod-spec.ts';
import { timerMaxMs } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import { type PodAddresses, portAt, type RunningContainer } from '../driver.ts';
import { expand } from '../pods/expand.ts';
import { checkGrpc } from './grpc.ts';
import { describe, getHttp } from './http.ts';
import { runCommand } from './run-command.ts';

/** What one probe found: `message` says why not, and `warning` what was odd, in the words of Kubernetes' events. */
export type ProbeResult = { isSuccess: true; warning?: string } | { isSuccess: false; message: string };
export type Check = () => Promise<ProbeResult>;

export interface CheckOptions {
  probe: Probe;
  container: Container;
  running: RunningContainer;
  addresses: PodAddresses;
}

const success: ProbeResult = { isSuccess: true };
const failure = (message: string): ProbeResult => ({ isSuccess: false, message });

/** The probe's action as a function that never rejects. A probe that names no action succeeds. */
export function checkOf(options: CheckOptions): Check {
  return async () => {
    try {
      return await check(options);
    } catch (error) {
      // What cannot even be asked for (a port, a path, a header) is a probe that failed.
      return failure(messageOf(error));
    }
  };
}

async function check({ probe, container, running, addresses }: CheckOptions): Promise<ProbeResult> {
  const timeoutMs = Math.min((probe.timeoutSeconds || 1) * 1000, timerMaxMs);
  const { exec, httpGet, tcpSocket, grpc } = probe;
  if (httpGet) {
    const port = portOf(httpGet.port, container, addresses);
    const host = httpGet.host || addresses.ips[0];
    const reply = getHttp({ httpGet, port, host, timeoutMs, purpose: 'probe' });
    const { status, body } = await hinted(reply, addresses);
    if (status < 200 || status >= 400) return failure(`HTTP probe failed with statuscode: ${status}`);
    return status < 300 ? success : { isSuccess: true, warning: `Probe terminated redirects, Response body: ${body}` };
  }
  if (tcpSocket) {
    const port = portOf(tcpSocket.port, container, addresses);
    await hinted(dial(tcpSocket.host || addresses.ips[0], port, timeoutMs), addresses);
    return success;
  }
  if (exec) {
    const { exitCode, output } = await runCommand(running, commandOf(exec.command ?? [], container), { timeoutMs });
    return exitCode === 0 ? success : failure(output.slice(0, outputMaxLength).trim() || `exit code ${exitCode}`);
  }
  if (grpc) {
    const port = portOf(grpc.port, container, addresses);
    const problem = await checkGrpc({ host: addresses.ips[0], port, service: grpc.service ?? '', timeoutMs });
    return problem === undefined ? success : failure(problem);
  }
  return success;
}

/** Of what a command says, this much is told. */
const outputMaxLength = 10 * 1024;

/** The command may refer to variables of which the pod itself says the value. */
function commandOf(command: readonly string[], { env = [] }: Container): string[] {
  const values = env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value] as const]));
  const variables = Object.fromEntries(values);
  return command.map((part) => expand(part, variables));
}

/** Where ports of the machine stand for the pod's, a program that listens on its own port finds nobody who asks. */
async function hinted<T>(asking: Promise<T>, { ports }: PodAddresses): Promise<T> {
  try {
    return await asking;
  } catch (error) {
    const message = messageOf(error);
    if (!message.endsWith('connection refused') || Object.keys(ports).length === 0) throw error;
    throw new Error(`${message}: the program must listen on the port that PORT says`, { cause: error });
  }
}

/** Where a container's port, by number or name, is reached. Throws when there is none. */
export function portOf(port: number | string, container: Pick<Container, 'ports'>, addresses: PodAddresses): number {
  const found = container.ports?.find((p) => p.name === port)?.containerPort ?? Number(port);
  if (!Number.isInteger(found) || found < 1 || found > 65535) {
    throw new Error(
      `couldn't find port: ${JSON.stringify(port)}: name a port of the container, or a number up to 65535`,
    );
  }
  return portAt(addresses, found);
}

/** Connects, and rejects with what keeps it from that. */
function dial(host: string, port: number, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    const finish = (problem?: string) => {
      socket.destroy();
      if (problem === undefined) resolve();
      else reject(new Error(problem));
    };
    socket.setTimeout(timeoutMs, () => finish(`dial tcp ${host}:${port}: i/o timeout`));
    socket.once('connect', () => finish());
    socket.on('error', (error) => finish(describe(error, { host, port })));
  });
}
