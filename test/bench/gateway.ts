/**
 * `gateway`: requests per second through the gateway against nginx (one worker, upstream keep-alive) proxying to the
 * same origin: an 11-byte reply, `wrk -t1 -c32`, five interleaved rounds, median. Needs Debian's nginx-light and wrk.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const rounds = 5;
const seconds = 4;
const host = 'hello.default.localhost';

export async function run() {
  const missing = ['nginx', 'wrk'].filter((name) => spawnSync(name, ['-v']).error !== undefined);
  if (missing.length > 0) {
    return {
      figures: {},
      table: [[`not measured: ${missing.join(' and ')} missing (apt-get install nginx-light wrk)`]],
    };
  }
  const folder = mkdtempSync(join(tmpdir(), 'kittiwake-bench-'));
  const children: ChildProcess[] = [];
  try {
    const [originPort, nginxPort] = [await freePort(), await freePort()];
    children.push(await startNginx(join(folder, 'origin.conf'), originConfig(folder, originPort), originPort));
    children.push(await startNginx(join(folder, 'proxy.conf'), proxyConfig(folder, nginxPort, originPort), nginxPort));
    const gateway = spawn(process.execPath, [new URL('gateway.child.ts', import.meta.url).pathname, `${originPort}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(gateway);
    const gatewayPort = Number(String((await once(gateway.stdout, 'data'))[0]));
    const targets = { origin: originPort, nginx: nginxPort, gateway: gatewayPort };
    for (const port of Object.values(targets)) await wrk(port, 1);
    const results = { origin: [] as Result[], nginx: [] as Result[], gateway: [] as Result[] };
    for (let round = 0; round < rounds; round++) {
      for (const [name, port] of Object.entries(targets)) {
        results[name as keyof typeof targets].push(await wrk(port, seconds));
      }
    }
    return report(results);
  } finally {
    for (const child of children) child.kill('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Result {
  rps: number;
  p50Ms: number;
  p99Ms: number;
  errors: number;
}

function report(results: Record<'origin' | 'nginx' | 'gateway', Result[]>) {
  const of = (name: keyof typeof results, key: keyof Result) => median(results[name].map((result) => result[key]));
  const ratios = results.gateway.map(({ rps }, round) => rps / (results.nginx[round]?.rps ?? Number.NaN));
  const row = (title: string, name: keyof typeof results) => [
    title,
    of(name, 'rps').toFixed(0),
    `${of(name, 'p50Ms').toFixed(2)} ms`,
    `${of(name, 'p99Ms').toFixed(2)} ms`,
    String(results[name].reduce((sum, { errors }) => sum + errors, 0)),
  ];
  return {
    figures: {
      rps_vs_nginx: median(ratios),
      gateway_rps: of('gateway', 'rps'),
      nginx_rps: of('nginx', 'rps'),
      origin_rps: of('origin', 'rps'),
      gateway_p99_ms: of('gateway', 'p99Ms'),
    },
    table: [
      [`median of ${rounds} rounds`, 'requests/s', 'p50', 'p99', 'errors'],
      row('origin, no proxy', 'origin'),
      row('nginx, one worker', 'nginx'),
      row('gateway', 'gateway'),
      ['gateway / nginx, each round', ratios.map((ratio) => ratio.toFixed(2)).join(' ')],
    ],
  };
}

async function wrk(port: number, durationSeconds: number): Promise<Result> {
  const arguments_ = ['-t1', '-c32', `-d${durationSeconds}s`, '--latency', '-H', `Host: ${host}`];
  const child = spawn('wrk', [...arguments_, `http://127.0.0.1:${port}/`], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (bytes) => {
    text += bytes;
  });
  await once(child, 'close');
  const rps = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]);
  if (!Number.isFinite(rps)) throw new Error(`wrk says: ${text}`);
  const socketErrors =
    /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)?.slice(1) ?? [];
  const badReplies = Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0);
  return {
    rps,
    p50Ms: milliseconds(/\s50%\s+([\d.]+)(us|ms|s)/.exec(text)),
    p99Ms: milliseconds(/\s99%\s+([\d.]+)(us|ms|s)/.exec(text)),
    errors: socketErrors.reduce((sum, count) => sum + Number(count), badReplies),
  };
}

function milliseconds(match: RegExpExecArray | null): number {
  const unit = { us: 0.001, ms: 1, s: 1000 }[match?.[2] ?? 's'] ?? Number.NaN;
  return Number(match?.[1]) * unit;
}

async function startNginx(path: string, config: string, port: number): Promise<ChildProcess> {
  writeFileSync(path, config);
  const child = spawn('nginx', ['-c', path, '-e', `${path}.log`], { stdio: ['ignore', 'ignore', 'inherit'] });
  for (let attempt = 0; attempt < 200; attempt++) {
    if (await isListening(port)) return child;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nginx does not listen on port ${port}`);
}

function nginxConfig(folder: string, name: string, http: string): string {
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `  ${kind}_temp_path ${folder}/${name}-${kind};`)
    .join('\n');
  return `daemon off;
worker_processes 1;
pid ${folder}/${name}.pid;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
${paths}
${http}
}
`;
}

function originConfig(folder: string, port: number): string {
  const server = `  server {
    listen 127.0.0.1:${port};
    location / { default_type text/plain; return 200 "hello world"; }
  }`;
  return nginxConfig(folder, 'origin', server);
}

function proxyConfig(folder: string, port: number, originPort: number): string {
  const server = `  upstream origin { server 127.0.0.1:${originPort}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }
  }`;
  return nginxConfig(folder, 'proxy', server);
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
