import { connect, isIPv6 } from 'node:net';
import type { HttpGetAction } from '../../../api/core/container.ts';
import type { Container, Probe } from '../../../api/core/pod-spec.ts';
import { timerMaxMs } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import { HttpClient, type Target } from '../../../lib/http-client.ts';
import { kubernetesVersion } from '../../kubernetes-version.ts';
import { type PodAddresses, portAt, type RunningContainer } from '../driver.ts';
import { runCommand } from './run-command.ts';

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
    const status = await getHttp({ httpGet, port, host: httpGet.host || addresses.ips[0], timeoutMs });
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

/** The answer's status; its body is not read, redirects are not followed. Throws what is not there to be asked. */
export async function getHttp({ httpGet, host, port, timeoutMs }: HttpGet): Promise<number> {
  const isTls = httpGet.scheme === 'HTTPS';
  const path = httpGet.path || '/';
  const headers = new Map([
    ['user-agent', `kube-probe/${kubernetesVersion.major}.${kubernetesVersion.minor}`],
    ['accept', '*/*'],
    ...(httpGet.httpHeaders ?? []).map(({ name, value }) => [name.toLowerCase(), value] as const),
  ]);
  const authority = headers.get('host') ?? `${isIPv6(host) ? `[${host}]` : host}:${port}`;
  headers.delete('host');
  const target: Target = { isTls, host, port, path, authority, tls: { rejectUnauthorized: false } };
  const client = new HttpClient();
  try {
    const request = { method: 'GET', target, headers: [...headers].flat(), isRepeatable: false, headMs: timeoutMs };
    const response = await client.send(request);
    response.destroy();
    return response.statusCode ?? 0;
  } catch (error) {
    throw new Error(`Get "${path}": ${describe(error, host, port)}`, { cause: error });
  } finally {
    client.close();
  }
}

function describe(error: unknown, host: string, port: number): string {
  if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') return messageOf(error);
  return `dial tcp ${host}:${port}: connection refused: the program must listen on the port that PORT says`;
}
