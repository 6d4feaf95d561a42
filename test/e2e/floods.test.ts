/** Hundreds of connections that ask thousands of times and never read: every listener goes on, in bounded memory. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { listRestarts } from '../../src/server/restarts.ts';
import { type Door, doorsOf } from '../hostile/doors.ts';
import { platformOfFile, roleProcesses } from '../kit/platform.ts';

const mebibyte = 2 ** 20;
const growthBytesMax = 500 * mebibyte;
const connections = 250;

const { dataDir, platform } = await platformOfFile();

const paths: Record<string, string> = { gateway: '/', broker: '/default/none', registry: '/v2/', API: '/version' };

test('no listener is brought down, or its memory up, by requests without number that nobody reads', async () => {
  const roles = roleProcesses(platform.process.pid ?? 0);
  const memory = () => Object.values(roles).map(residentBytes);
  for (const door of doorsOf(platform, 'none')) {
    const before = memory();
    const path = door.name.startsWith('metrics') ? '/metrics' : (paths[door.name] ?? '/none');
    const request = `GET ${path} HTTP/1.1\r\nHost: ${door.host}\r\n\r\n`;
    const flood = Array.from({ length: connections }, () => open(door, request.repeat(3_000)));
    // Whoever asks now is answered, in its turn.
    await Promise.all(Object.values(platform.addresses.metricsUrls).map(isAnswered));
    const most = Math.max(...memory().map((bytes, i) => bytes - (before[i] ?? 0)));
    for (const socket of flood) socket.destroy();
    assert.ok(most < growthBytesMax, `${door.name}: a role grew by ${Math.round(most / mebibyte)} MiB`);
    assert.deepEqual(listRestarts(dataDir), [], door.name);
  }
  assert.deepEqual(roleProcesses(platform.process.pid ?? 0), roles);
});

function open(door: Door, bytes: string): Socket {
  const socket = door.open();
  socket.on('error', () => {}); // It may be cut off.
  socket.pause();
  socket.write(bytes);
  return socket;
}

/** By `/healthz` beside the metrics; a connection may be refused a place while the flood has them all. */
async function isAnswered(metricsUrl: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      const headers = { connection: 'close' };
      return assert.equal((await fetch(new URL('/healthz', metricsUrl), { headers })).status, 200);
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

const residentBytes = (pid: number) =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
