/**
 * `cold-start`: the first request to a service at zero, against starting the same program bare (spawn to its first
 * answer), interleaved, over 50 wakes. What the platform adds is the difference of the percentiles.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeploymentKind } from '../../src/api/apps/deployment.ts';
import { PodKind } from '../../src/api/core/pod.ts';
import { eventually, kittiwake, newDataDir, startTestPlatform, type TestPlatform } from '../kit/platform.ts';

const wakes = 50;
const program = `import { createServer } from 'node:http';
createServer((request, response) => response.end('hello')).listen(process.env.PORT);
`;

export async function run() {
  const { dataDir, remove } = newDataDir();
  const app = mkdtempSync(join(tmpdir(), 'kittiwake-bench-'));
  writeFileSync(join(app, 'server.js'), program);
  writeFileSync(join(app, 'package.json'), '{"name": "cold", "type": "module", "main": "server.js"}');
  const platform = await startTestPlatform(dataDir);
  try {
    const deployed = await kittiwake(dataDir, 'deploy', app, '--name', 'cold');
    if (deployed.code !== 0) throw new Error(deployed.stderr);
    const cold: number[] = [];
    const bare: number[] = [];
    for (let wake = 0; wake < wakes; wake++) {
      await toZero(platform);
      cold.push(await firstAnswerMs(platform));
      bare.push(await bareStartMs(join(app, 'server.js')));
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
    rmSync(app, { recursive: true, force: true });
    remove();
  }
}

/** Scales the revision down by hand (the stable window would take a minute), and waits until no pod is left. */
async function toZero({ client }: TestPlatform): Promise<void> {
  await client.scale(DeploymentKind, { namespace: 'default', name: 'cold-00001-deployment' }, 0);
  await eventually('no pod', async () => {
    const { items } = await client.list(PodKind, {
      namespace: 'default',
      labelSelector: 'serving.knative.dev/service=cold',
    });
    return items.length === 0 ? true : undefined;
  });
}

function firstAnswerMs({ addresses }: TestPlatform): Promise<number> {
  return answerMs(Number(new URL(addresses.gatewayUrl).port), `cold.default.${addresses.domain}`);
}

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
