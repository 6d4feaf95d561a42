import type { IncomingMessage } from 'node:http';
import { request as requestTls } from 'node:https';
import { connect } from 'node:net';
import type { HttpGetAction } from '../../../api/core/container.ts';
import type { Container, Probe } from '../../../api/core/pod-spec.ts';
import { timerMaxMs } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import { request } from '../../../lib/node-http.ts';
import { type PodAddresses, portAt, type RunningContainer } from '../driver.ts';
import { runCommand } from '../pods/run-command.ts';

/** What one probe found: `message` says why not, in the words of Kubernetes' events. */
export type ProbeResult = { isSuccess: true } | { isSuccess: false; message: string };
export type Check = () => Promise<ProbeResult>;

export interface CheckOptions {
  probe: Probe;
  container: Container;
  running: RunningContainer;
  addresses: PodAddresses;
}

const success: ProbeResult = { isSuccess: true };
const failure = (message: string): ProbeResult => ({ isSuccess: false, message });

/** An answer may announce itself this often (1xx) before it comes. */
const interimMax = 100;

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
    const answer = await getHttp({ httpGet, port, host: httpGet.host || addresses.ips[0], timeoutMs });
    if ('failure' in answer) return failure(answer.failure);
    const { status } = answer;
    return status >= 200 && status < 400 ? success : failure(`HTTP probe failed with statuscode: ${status}`);
  }
  if (tcpSocket) {
    const port = portOf(tcpSocket.port, container, addresses);
    return checkTcp(tcpSocket.host || addresses.ips[0], port, timeoutMs);
  }
  if (exec) {
    const { exitCode, output } = await runCommand(running, exec.command ?? [], { timeoutMs });
    return exitCode === 0 ? success : failure(output.trim() || `exit code ${exitCode}`);
  }
  if (grpc) return failure('grpc probes are not supported on this node: use httpGet or tcpSocket');
  return success;
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

function checkTcp(host: string, port: number, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (result: ProbeResult) => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(timeoutMs, () => finish(failure(`dial tcp ${host}:${port}: i/o timeout`)));
    socket.once('connect', () => finish(success));
    socket.on('error', (error) => finish(failure(describe(error, host, port))));
  });
}

export interface HttpGet {
  httpGet: HttpGetAction;
  host: string;
  port: number;
  timeoutMs: number;
}

/** The answer's status; its body is not read, redirects are not followed. Throws when no request can be made of it. */
export function getHttp({
  httpGet,
  host,
  port,
  timeoutMs,
}: HttpGet): Promise<{ status: number } | { failure: string }> {
  const isTls = httpGet.scheme === 'HTTPS';
  const path = httpGet.path || '/';
  const headers: Record<string, string> = { 'user-agent': 'kube-probe/1.34', accept: '*/*', connection: 'close' };
  for (const { name, value } of httpGet.httpHeaders ?? []) headers[name.toLowerCase()] = value;
  return new Promise((resolve) => {
    const options = { host, port, path, headers, agent: false, rejectUnauthorized: false };
    const outgoing = (isTls ? requestTls : request)(options);
    const finish = (result: { status: number } | { failure: string }) => {
      clearTimeout(timer);
      outgoing.destroy();
      resolve(result);
    };
    const fail = (why: string) => finish({ failure: `Get "${path}": ${why}` });
    const timer = setTimeout(() => fail(`no answer within ${timeoutMs} ms`), Math.min(timeoutMs, timerMaxMs));
    let interim = 0;
    outgoing.on('information', () => {
      if (++interim > interimMax) fail(`more than ${interimMax} interim answers (1xx)`);
    });
    outgoing.once('response', (response: IncomingMessage) => {
      response.on('error', () => {}); // Cut off by us: its status is all that is asked for.
      finish({ status: response.statusCode ?? 0 });
    });
    // Not once: destroying may report another, and what nobody listens to would be thrown.
    outgoing.on('error', (error) => fail(describe(error, host, port)));
    outgoing.end();
  });
}

function describe(error: NodeJS.ErrnoException, host: string, port: number): string {
  if (error.code !== 'ECONNREFUSED') return error.message;
  return `dial tcp ${host}:${port}: connection refused: the program must listen on the port that PORT says`;
}
