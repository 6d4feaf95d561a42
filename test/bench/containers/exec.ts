import { randomBytes } from 'node:crypto';
import { request } from 'node:https';
import { readKubeconfig } from '../../../src/kube/http/connection.ts';
import type { TestPlatform } from '../../kit/platform.ts';

/** A command in a pod's container, over a WebSocket: from the request to the first byte of its output. */
export async function execMs({ addresses }: TestPlatform, pod: string, command: readonly string[]): Promise<number> {
  const query = new URLSearchParams({ stdout: 'true' });
  for (const word of command) query.append('command', word);
  const url = new URL(`/api/v1/namespaces/default/pods/${pod}/exec?${query}`, addresses.apiUrl);
  const { ca, cert, key } = await readKubeconfig(addresses.kubeconfig);
  const begunMs = performance.now();
  return new Promise((resolve, reject) => {
    const asked = request(url, {
      ca,
      cert,
      key,
      agent: false,
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': randomBytes(16).toString('base64'),
        'sec-websocket-protocol': 'v5.channel.k8s.io',
      },
    });
    asked.once('error', reject);
    asked.once('response', ({ statusCode }) => reject(new Error(`exec was answered with HTTP ${statusCode}`)));
    asked.once('upgrade', (_response, socket, head) => {
      let received = head;
      const look = () => {
        // A frame: two bytes of head, then the channel (1: the output) and what is on it.
        if (received.length < 4) return;
        socket.destroy();
        if (received[2] === 1) resolve(performance.now() - begunMs);
        else reject(new Error(`the first frame is of channel ${received[2]}: ${received.subarray(3)}`));
      };
      socket.on('data', (bytes: Buffer) => {
        received = Buffer.concat([received, bytes]);
        look();
      });
      socket.once('error', reject);
      look();
    });
    asked.end();
  });
}
