/** The doors of a platform, for raw bytes: each knows how to be reached, and nothing of what it gets. */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { autoscalerSocket } from '../../src/server/autoscaler-socket.ts';
import type { TestPlatform } from '../kit/platform.ts';

export interface Door {
  name: string;
  /** What stands for HOST in a request. */
  host: string;
  open(): Socket;
}

/** The credentials that the platform's kubeconfig holds. */
export function credentialsOf({ addresses }: TestPlatform): { ca: Buffer; cert: Buffer; key: Buffer } {
  const text = readFileSync(addresses.kubeconfig, 'utf8');
  const dataOf = (name: string) => Buffer.from(new RegExp(`${name}: "?([\\w+/=]+)`).exec(text)?.[1] ?? '', 'base64');
  return {
    ca: dataOf('certificate-authority-data'),
    cert: dataOf('client-certificate-data'),
    key: dataOf('client-key-data'),
  };
}

export function doorsOf(platform: TestPlatform, service: string): Door[] {
  const { addresses, dataDir } = platform;
  const tcp = (name: string, url: string, host = new URL(url).host): Door => {
    const { hostname, port } = new URL(url);
    return { name, host, open: () => connect({ host: hostname, port: Number(port), allowHalfOpen: true }) };
  };
  const { port } = new URL(addresses.apiUrl);
  const credentials = credentialsOf(platform);
  return [
    tcp('gateway', addresses.gatewayUrl, `${service}.default.svc.cluster.local`),
    tcp('broker', addresses.brokerUrl),
    tcp('registry', addresses.registryUrl),
    ...Object.entries(addresses.metricsUrls).map(([role, url]) => tcp(`metrics of ${role}`, url)),
    {
      name: 'API',
      host: '127.0.0.1',
      open: () => connectTls({ host: '127.0.0.1', port: Number(port), ALPNProtocols: ['http/1.1'], ...credentials }),
    },
    { name: 'autoscaler', host: 'autoscaler', open: () => connect({ path: autoscalerSocket(dataDir) }) },
  ];
}

/** What came back is kept up to this; the rest is read and dropped. */
const keptBytes = 4096;
/** A peer that says nothing more for this long has said what it has to say. */
const quietMs = 300;

/** Sends the bytes, reads until the other side closes or is quiet, and hangs up. Never fails: any answer will do. */
export function tell(door: Door, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = door.open();
    let answer = '';
    socket.setTimeout(quietMs, () => socket.destroy());
    socket.on('error', () => {}); // A reset is an answer as well.
    socket.on('data', (data) => {
      if (answer.length < keptBytes) answer += data.toString('latin1');
    });
    socket.once('end', () => socket.destroy());
    socket.once('close', () => resolve(answer));
    socket.write(bytes);
  });
}

export function bytesFor(door: Door, request: string | Buffer): Buffer {
  return typeof request === 'string' ? Buffer.from(request.replaceAll('HOST', door.host), 'latin1') : request;
}
