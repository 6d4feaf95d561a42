import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { checkGrpc } from './grpc.ts';

describe('a gRPC probe', () => {
  let server: Http2Server;
  let port: number;
  const sessions = new Set<{ destroy(): void }>();
  const asked: { headers: Record<string, unknown>; body: Buffer }[] = [];

  before(async () => {
    server = createServer();
    server.on('session', (session) => sessions.add(session));
    server.on('stream', async (stream, headers) => {
      stream.on('error', () => {}); // The prober goes away.
      const chunks: Buffer[] = [];
      for await (const chunk of stream) chunks.push(chunk as Buffer);
      const body = Buffer.concat(chunks);
      asked.push({ headers, body });
      answer(stream, body.subarray(7).toString());
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    port = (server.address() as AddressInfo).port;
  });
  after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });

  /** What the server says of each service. */
  function answer(stream: ServerHttp2Stream, service: string) {
    const reply = (message: Buffer, trailers: Record<string, string>) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers(trailers));
      stream.end(message);
    };
    const health = (status: number) => Buffer.from(status === 0 ? [0, 0, 0, 0, 0] : [0, 0, 0, 0, 2, 8, status]);
    if (service === 'silent') return;
    if (service === 'gone') stream.session?.destroy();
    else if (service === 'web') {
      stream.respond({ ':status': 404 });
      stream.end();
    } else if (service === 'refused') stream.close(7);
    else if (service === 'endless') {
      stream.respond({ ':status': 200 });
      const more = () => {
        while (!stream.destroyed && stream.write(Buffer.alloc(65_536)));
      };
      stream.on('drain', more);
      more();
    } else if (service === 'other')
      reply(Buffer.alloc(0), { 'grpc-status': '12', 'grpc-message': 'unknown%20service' });
    else if (service === 'missing') reply(Buffer.alloc(0), { 'grpc-status': '5', 'grpc-message': 'unknown service' });
    else reply(health(Number(service || 1)), { 'grpc-status': '0' });
  }

  for (const [service, expected] of [
    ['', undefined],
    ['1', undefined],
    ['0', 'service unhealthy (responded with "UNKNOWN")'],
    ['2', 'service unhealthy (responded with "NOT_SERVING")'],
    ['3', 'service unhealthy (responded with "SERVICE_UNKNOWN")'],
    [
      'other',
      'error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown service',
    ],
    ['missing', 'error: health rpc probe failed: rpc error: code = NotFound desc = unknown service'],
    ['web', /code = Unknown desc = unexpected HTTP status code received from server: 404/],
    ['refused', /^error: health rpc probe failed: rpc error: code = /],
    ['gone', /^error: health rpc probe failed: rpc error: code = /],
    ['endless', /^error: health rpc probe failed: rpc error: code = ResourceExhausted/],
    ['silent', 'timeout: health rpc did not complete within 0.3s'],
  ] as const) {
    const outcome = expected === undefined ? 'succeeds' : `says ${expected}`;
    test(`of ${service || 'the whole server'} ${outcome}`, async () => {
      const timeoutMs = service === 'silent' ? 300 : 10_000;
      const problem = await checkGrpc({ host: '127.0.0.1', port, service, timeoutMs });
      if (expected instanceof RegExp) assert.match(problem ?? '', expected);
      else assert.equal(problem, expected);
    });
  }

  test('asks as kubelet does, for a service of whatever length of name', async () => {
    const long = `1${'0'.repeat(300)}`;
    asked.length = 0;
    await checkGrpc({ host: '127.0.0.1', port, service: long, timeoutMs: 10_000 });
    const [only] = asked;
    assert.equal(only?.headers[':path'], '/grpc.health.v1.Health/Check');
    assert.equal(only?.headers['user-agent'], 'kube-probe/1.34');
    assert.deepEqual([...(only?.body.subarray(0, 8) ?? [])], [0, 0, 0, 1, 48, 0x0a, 0xad, 0x02]);
    assert.equal(only?.body.subarray(8).toString(), long);
  });
});
