import { request as requestTls } from 'node:https';
import { connect } from 'node:net';
import type { Container, Probe, ProbeHandler } from '../../../api/core/pod-spec.ts';
import { request } from '../../../lib/node-http.ts';
import type { PortMap, RunningContainer } from '../driver.ts';

/** What one probe found: `message` says why not, in the words of Kubernetes' events. */
export type ProbeResult = { isSuccess: true } | { isSuccess: false; message: string };
export type Check = () => Promise<ProbeResult>;

export interface CheckOptions {
  probe: Probe;
  container: Container;
  running: RunningContainer;
  podIP: string;
}

const success: ProbeResult = { isSuccess: true };
const failure = (message: string): ProbeResult => ({ isSuccess: false, message });

/** The probe's action as a function. A probe that names no action succeeds. */
export function checkOf({ probe, container, running, podIP }: CheckOptions): Check {
  const timeoutMs = (probe.timeoutSeconds || 1) * 1000;
  const { exec, httpGet, tcpSocket, grpc } = probe;
  if (httpGet) {
    const port = portOf(httpGet.port, container, running.ports);
    return () => checkHttp({ httpGet, port, host: httpGet.host || podIP, timeoutMs });
  }
  if (tcpSocket) {
    const port = portOf(tcpSocket.port, container, running.ports);
    return () => checkTcp(tcpSocket.host || podIP, port, timeoutMs);
  }
  if (exec) {
    return async () => {
      const { exitCode, output } = await running.exec(exec.command ?? [], timeoutMs);
      return exitCode === 0 ? success : failure(output.trim() || `exit code ${exitCode}`);
    };
  }
  if (grpc) return async () => failure('grpc probes are not supported on this node: use httpGet or tcpSocket');
  return async () => success;
}

/** The host's port for a container's port, by number or name; 0, on which nothing listens, when there is none. */
export function portOf(port: number | string, container: Pick<Container, 'ports'>, ports: PortMap): number {
  const found = container.ports?.find((p) => p.name === port)?.containerPort ?? Number(port);
  return ports[found] ?? (Number.isInteger(found) ? found : 0);
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
    socket.once('error', (error) => finish(failure(describe(error, host, port))));
  });
}

interface HttpCheck {
  httpGet: NonNullable<ProbeHandler['httpGet']>;
  host: string;
  port: number;
  timeoutMs: number;
}

/** A status from 200 to 399 is success; redirects are not followed. */
function checkHttp({ httpGet, host, port, timeoutMs }: HttpCheck): Promise<ProbeResult> {
  const isTls = httpGet.scheme === 'HTTPS';
  const path = httpGet.path || '/';
  const headers: Record<string, string> = { 'user-agent': 'kube-probe/1.34', accept: '*/*', connection: 'close' };
  for (const { name, value } of httpGet.httpHeaders ?? []) headers[name.toLowerCase()] = value;
  return new Promise((resolve) => {
    const options = { host, port, path, headers, agent: false, rejectUnauthorized: false };
    const outgoing = (isTls ? requestTls : request)(options, (response) => {
      const status = response.statusCode ?? 0;
      finish(status >= 200 && status < 400 ? success : failure(`HTTP probe failed with statuscode: ${status}`));
    });
    const timer = setTimeout(() => finish(failure(`Get "${path}": no answer within ${timeoutMs} ms`)), timeoutMs);
    const finish = (result: ProbeResult) => {
      clearTimeout(timer);
      outgoing.destroy();
      resolve(result);
    };
    outgoing.once('error', (error) => finish(failure(`Get "${path}": ${describe(error, host, port)}`)));
    outgoing.end();
  });
}

function describe(error: NodeJS.ErrnoException, host: string, port: number): string {
  if (error.code !== 'ECONNREFUSED') return error.message;
  return `dial tcp ${host}:${port}: connection refused: the program must listen on the port that PORT says`;
}
