import { type ClientHttp2Session, connect } from 'node:http2';
import { isIPv6 } from 'node:net';
import { messageOf } from '../../../lib/errors.ts';
import { kubernetesVersion } from '../../kubernetes-version.ts';

export interface GrpcProbe {
  host: string;
  port: number;
  /** '' asks for the server as a whole. */
  service: string;
  timeoutMs: number;
}

/** A reply of the health protocol is a few bytes. */
const replyMaxBytes = 64 * 1024;
const statusNames = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
const codeNames = [
  ...['OK', 'Canceled', 'Unknown', 'InvalidArgument', 'DeadlineExceeded', 'NotFound', 'AlreadyExists'],
  ...['PermissionDenied', 'ResourceExhausted', 'FailedPrecondition', 'Aborted', 'OutOfRange', 'Unimplemented'],
  ...['Internal', 'Unavailable', 'DataLoss', 'Unauthenticated'],
];
const unimplemented = 12;

/**
 * Asks a program for its health as kubelet does (pkg/probe/grpc; grpc.health.v1 over HTTP/2 without TLS). Undefined
 * when it serves; otherwise why not, in kubelet's words. Never rejects, and never takes longer than `timeoutMs`.
 */
export function checkGrpc({ host, port, service, timeoutMs }: GrpcProbe): Promise<string | undefined> {
  return new Promise((resolve) => {
    const address = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
    const within = `${timeoutMs / 1000}s`;
    let session: ClientHttp2Session | undefined;
    let isConnected = false;
    const finish = (problem?: string) => {
      clearTimeout(timer);
      session?.destroy();
      resolve(problem);
    };
    const noConnection = `timeout: failed to connect service "${address}" within ${within}: context deadline exceeded`;
    const timer = setTimeout(
      () => finish(isConnected ? `timeout: health rpc did not complete within ${within}` : noConnection),
      timeoutMs,
    );
    const failed = (error: unknown) =>
      finish(isConnected ? rpcProblem(14, messageOf(error)) : noConnection.replace(/context.*/, messageOf(error)));
    try {
      session = connect(`http://${address}`, { maxSettings: 64 });
      session.on('error', failed);
      session.once('close', () => failed(new Error('the connection was closed')));
      // A peer that speaks HTTP/2 says so at once.
      session.once('remoteSettings', () => {
        isConnected = true;
      });
      const stream = session.request({
        ':method': 'POST',
        ':path': '/grpc.health.v1.Health/Check',
        'content-type': 'application/grpc',
        'user-agent': `kube-probe/${kubernetesVersion.major}.${kubernetesVersion.minor}`,
        te: 'trailers',
      });
      const chunks: Buffer[] = [];
      let bytes = 0;
      let head: Record<string, unknown> = {};
      let trailers: Record<string, unknown> = {};
      stream.on('error', failed);
      stream.on('response', (headers) => {
        head = headers;
      });
      stream.on('trailers', (headers) => {
        trailers = headers;
      });
      stream.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > replyMaxBytes) finish(rpcProblem(8, `the reply is longer than ${replyMaxBytes} bytes`));
        else chunks.push(chunk);
      });
      stream.on('end', () => finish(problemOf({ ...head, ...trailers }, Buffer.concat(chunks))));
      stream.end(checkRequest(service));
    } catch (error) {
      failed(error);
    }
  });
}

/** One message of gRPC: a byte for no compression, the length, and `HealthCheckRequest { 1: service }`. */
function checkRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a]), varint(name.length), name]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 0x7f) | 0x80);
  }
}

function problemOf(fields: Record<string, unknown>, body: Buffer): string | undefined {
  if (fields[':status'] !== 200)
    return rpcProblem(2, `unexpected HTTP status code received from server: ${fields[':status']}`);
  const code = Number(fields['grpc-status'] ?? 2);
  if (code !== 0) return rpcProblem(code, decoded(String(fields['grpc-message'] ?? '')));
  const status = statusNames[statusIn(body)] ?? String(statusIn(body));
  return status === 'SERVING' ? undefined : `service unhealthy (responded with "${status}")`;
}

/** Field 1 of `HealthCheckResponse`, a small number; others are skipped by being none of it. */
function statusIn(body: Buffer): number {
  return body.length >= 7 && body[5] === 0x08 ? (body[6] ?? 0) : 0;
}

function rpcProblem(code: number, text: string): string {
  if (code === unimplemented) {
    return `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${text}`;
  }
  return `error: health rpc probe failed: rpc error: code = ${codeNames[code] ?? `Code(${code})`} desc = ${text}`;
}

/** A message of gRPC is percent-encoded; one that is not right is shown as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
