/**
 * `cold-start`: the first request to a service at zero, against starting the same program bare (spawn to its first
 * answer), interleaved, over 50 wakes. What the platform adds is the difference of the percentiles. Ten services take
 * turns, so that each goes to zero by itself (its stable window is the shortest allowed) while others are measured.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PodKind } from '../../src/api/core/pod.ts';
import { ServiceKind } from '../../src/api/serving/service.ts';
import { eventually, kittiwake, newDataDir, startTestPlatform, type TestPlatform } from '../kit/platform.ts';

const wakes = 50;
const names = Array.from({ length: 10 }, (_, i) => `cold-${i}`);
const program = `import { createServer } from 'node:http';
createServer((request, response) => response.end('hello')).listen(process.env.PORT);
`;

export async function run() {
  const { dataDir, remove } = newDataDir();
  const folder = mkdtempSync(join(tmpdir(), 'kittiwake-bench-'));
  writeFileSync(join(folder, 'server.mjs'), program);
  writeFileSync(join(folder, 'app.yaml'), names.map(manifestOf).join('---\n'));
  const platform = await startTestPlatform(dataDir);
  try {
    const applied = await kittiwake(dataDir, 'apply', '-f', join(folder, 'app.yaml'));
    if (applied.code !== 0) throw new Error(applied.stderr);
    const cold: number[] = [];
    const bare: number[] = [];
    for (let wake = 0; wake < wakes; wake++) {
      const name = names[wake % names.length] ?? '';
      await atZero(platform, name);
      cold.push(await answerMs(gatewayPort(platform), `${name}.default.localhost`));
      bare.push(await bareStartMs(join(folder, 'server.mjs')));
    }
    const over = (q: number) => quantile(cold, q) - quantile(bare, q);
    const row = (name: string, values: number[]) => [
      name,
      ...[0.5, 0.99].map((q) => `${quantile(values, q).toFixed(1)} ms`),
    ];
    return {
      figures: {
        p50_over_bare_ms: over(0.5),
        p99_over_bare_ms: over(0.99),
        cold_p50_ms: quantile(cold, 0.5),
        bare_p50_ms: quantile(bare, 0.5),
        wakes,
      },
      table: [
        [`${wakes} wakes`, 'p50', 'p99'],
        row('first request from zero', cold),
        row('the same program, bare', bare),
        ['over bare', `${over(0.5).toFixed(1)} ms`, `${over(0.99).toFixed(1)} ms`],
      ],
    };
  } finally {
    await platform.stop();
    rmSync(folder, { recursive: true, force: true });
    remove();
  }
}

function manifestOf(name: string): string {
  const service = {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name },
    spec: {
      build: { source: { files: { 'server.mjs': program, 'package.json': '{"main": "server.mjs"}' } } },
      template: {
        metadata: { annotations: { 'autoscaling.knative.dev/window': '6s' } },
        spec: { containers: [{ image: 'build://output' }] },
      },
    },
  };
  return `${JSON.stringify(service)}\n`;
}

/** Waits until the service has been ready once and has no pod left. */
async function atZero({ client }: TestPlatform, name: string): Promise<void> {
  const key = { namespace: 'default', name };
  await eventually(`${name} at zero`, async () => {
    const service = await client.get(ServiceKind, key);
    const isReady = service?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
    const labelSelector = `serving.knative.dev/service=${name}`;
    const { items } = await client.list(PodKind, { namespace: 'default', labelSelector });
    return isReady && items.length === 0 ? true : undefined;
  });
}

const gatewayPort = ({ addresses }: TestPlatform) => Number(new URL(addresses.gatewayUrl).port);

function answerMs(port: number, host: string): Promise<number> {
  const startedMs = performance.now();
  return new Promise((resolve, reject) => {
    const outgoing = request({ port, host: '127.0.0.1', headers: { host }, agent: false }, (response) => {
      response.resume().once('end', () => {
        if (response.statusCode === 200) resolve(performance.now() - startedMs);
        else reject(new Error(`HTTP ${response.statusCode}`));
      });
    });
    outgoing.once('error', reject).end();
  });
}

/** From spawn to the first answer, connecting again at once while it refuses. */
async function bareStartMs(file: string): Promise<number> {
  const port = await freePort();
  const startedMs = performance.now();
  const child = spawn(process.execPath, [file], {
    env: { PATH: process.env.PATH, PORT: String(port) },
    stdio: 'ignore',
  });
  try {
    for (;;) {
      try {
        await answerMs(port, 'bare');
        return performance.now() - startedMs;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw error;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
  } finally {
    child.kill('SIGKILL');
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}
