import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Metrics } from '../observe/metrics.ts';
import type { Target } from './routes/change.ts';
import { type Call, type Client, connectClient, type Origin, startOrigin } from './testing/ends.ts';
import {
  eventually,
  routesOf,
  startTestGateway,
  statusOf,
  type TestGateway,
  type TestGatewayOptions,
} from './testing/fixture.ts';
import { withFrames } from './testing/frames/index.ts';
import { preface } from './testing/frames/link.ts';
import { ShiftingClock } from './testing/shifting-clock.ts';

interface Parts {
  gateway: TestGateway;
  origin: Origin;
  client: Client;
  /** Resolves with the number-th call that reaches the origin. */
  call(number: number): Promise<Call>;
}

const pairs = (['http1', 'frames'] as const).flatMap((down) =>
  (['http1', 'frames', 'h2c'] as const).map((up) => [down, up] as const),
);
const piece = 'x'.repeat(64 * 1024);

/** For how many turns of the event loop nothing must move, so that it counts as standing still. */
const stillTurns = 200;

/** Writes `piece` again and again until it stands still; returns how often. */
async function fill(write: (text: string) => boolean): Promise<number> {
  let count = 0;
  for (let still = 0; still < stillTurns; still++) {
    for (let taken = true; taken && count < 1_000; count++) {
      taken = write(piece);
      if (taken) still = 0;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  return count;
}

/** The client's `number`th request comes and goes while something else is under way. */
async function askAndAnswer({ client, call }: Pick<Parts, 'client' | 'call'>, number: number): Promise<void> {
  const asked = client.ask();
  const got = await call(number);
  got.reply(200, 0);
  got.end();
  await eventually(() => asked.isEnded);
}

for (const [down, up] of pairs) {
  const withParts = async (
    run: (parts: Parts) => Promise<void>,
    target: Partial<Target> = {},
    options: TestGatewayOptions = {},
  ) => {
    const origin = await startOrigin[up](() => {});
    const endpoints = [{ host: '127.0.0.1', port: origin.port, protocol: up }];
    const routes = routesOf([], { endpoints, ...target });
    const gateway = await startTestGateway(undefined, routes, { protocols: withFrames, ...options });
    const client = connectClient[down](gateway.port);
    const call = async (number: number) => {
      await eventually(() => origin.calls.length >= number);
      return origin.calls[number - 1] as Call;
    };
    await run({ gateway, origin, client, call });
    client.close();
    await gateway.stop({ graceMs: 0 });
    origin.close();
  };

  describe(`an exchange between ${down} and ${up}`, () => {
    it('carries bodies of unknown length, their trailers, and interim replies', () =>
      withParts(async ({ client, call }) => {
        const asked = client.ask({ method: 'POST', path: '/a?b', fields: 'Trailer: t\r\n', bodyBytes: -1 });
        const got = await call(1);
        assert.deepEqual([got.method, got.path], ['POST', '/a?b']);
        asked.write('hello ');
        await eventually(() => got.text === 'hello ');
        asked.write('world');
        asked.end('T: v\r\n');
        await eventually(() => got.isEnded);
        assert.deepEqual([got.text, got.trailers.toLowerCase()], ['hello world', 't: v\r\n']);
        got.interim();
        await eventually(() => asked.interims.length === 1);
        assert.deepEqual([asked.interims, asked.status], [[103], 0]);
        got.reply(201, -1);
        got.write('good');
        await eventually(() => asked.text === 'good');
        assert.equal(asked.status, 201);
        got.write('bye');
        got.end('T: w\r\n');
        await eventually(() => asked.isEnded);
        assert.deepEqual([asked.text, asked.trailers.toLowerCase(), asked.isCut], ['goodbye', 't: w\r\n', false]);
      }));

    it('carries bodies of a known length, and none', () =>
      withParts(async ({ client, call }) => {
        const asked = client.ask({ method: 'PUT', bodyBytes: 5 });
        asked.write('hel');
        asked.write('lo');
        asked.end();
        const got = await call(1);
        await eventually(() => got.isEnded);
        assert.equal(got.text, 'hello');
        got.reply(200, 3);
        got.write('y');
        got.write('es');
        got.end();
        await eventually(() => asked.isEnded);
        assert.equal(asked.text, 'yes');
        const second = client.ask();
        const gotSecond = await call(2);
        await eventually(() => gotSecond.isEnded);
        gotSecond.reply(404, 0);
        gotSecond.end();
        await eventually(() => second.isEnded);
        assert.deepEqual([gotSecond.text, second.status, second.text], ['', 404, '']);
      }));

    it('is one of many at once, each with its own end', () =>
      withParts(async ({ client, origin, gateway, call }) => {
        const asked = ['/1', '/2', '/3'].map((path) => client.ask({ path }));
        await call(3);
        const byPath = origin.calls.toSorted((a, b) => (a.path < b.path ? -1 : 1));
        for (const at of [2, 0, 1]) {
          byPath[at]?.reply(200, 2);
          byPath[at]?.write(byPath[at].path);
          byPath[at]?.end();
          await eventually(() => asked[at]?.isEnded === true);
          assert.equal(asked[at]?.text, `/${at + 1}`);
        }
        if (up !== 'http1') assert.equal(origin.accepted, 1, 'one connection carried all three');
        await gateway.report(({ requestCount }) => requestCount === 3);
      }, {}));

    it('waits for a pod, and for a slot', () =>
      withParts(
        async ({ client, gateway, origin, call }) => {
          const first = client.ask({ path: '/1' });
          await gateway.report(({ queued }) => queued === 1);
          const second = client.ask({ path: '/2' });
          const endpoints = [{ host: '127.0.0.1', port: origin.port, protocol: up }];
          gateway.publish(routesOf([], { endpoints, containerConcurrency: 1 }));
          const got = await call(1);
          await gateway.report(({ queued, averageConcurrency }) => queued === 1 && averageConcurrency > 1);
          assert.equal(origin.calls.length, 1);
          got.reply(200, 0);
          got.end();
          await eventually(() => first.isEnded);
          const other = await call(2);
          other.reply(200, 0);
          other.end();
          await eventually(() => second.isEnded);
        },
        { endpoints: [], containerConcurrency: 1 },
      ));

    it('is answered 504 at its deadline, and given up upstream', async () => {
      const clock = new ShiftingClock();
      const run = async ({ client, call }: Parts) => {
        const asked = client.ask();
        const got = await call(1);
        await clock.shift(15_000);
        await eventually(() => asked.isEnded && got.isAborted);
        assert.deepEqual([asked.status, asked.text.trim()], [504, 'request timeout']);
      };
      await withParts(run, { timeoutMs: 10_000 }, { clock });
    });

    it('tries another address when one refuses', async () => {
      const gone = await startOrigin[up](() => {});
      gone.close();
      await withParts(
        async ({ client, gateway, origin, call }) => {
          const endpoints = [gone, origin].map(({ port }) => ({ host: '127.0.0.1', port, protocol: up }));
          gateway.publish(routesOf([], { endpoints, containerConcurrency: 1 }));
          const asked = client.ask();
          const got = await call(1);
          got.reply(200, 0);
          got.end();
          await eventually(() => asked.isEnded);
          assert.equal(asked.status, 200);
        },
        { endpoints: [], containerConcurrency: 1 },
      );
    });

    it('is sent again when the connection upstream turns out to be stale, if that does no harm', () =>
      withParts(async ({ client, call }) => {
        for (const method of ['GET', 'POST']) {
          const first = client.ask();
          const seen = method === 'GET' ? 0 : 3;
          const got = await call(seen + 1);
          got.reply(200, 0);
          got.end();
          await eventually(() => first.isEnded);
          const second = client.ask({ method });
          (await call(seen + 2)).hangUp();
          if (method === 'GET') {
            const again = await call(seen + 3);
            again.reply(200, 0);
            again.end();
          }
          await eventually(() => second.isEnded);
          assert.equal(second.status, method === 'GET' ? 200 : 502);
        }
      }));

    it('is given up upstream when the client leaves, before the reply or in its midst', () =>
      withParts(async ({ client, call }) => {
        const early = client.ask();
        const first = await call(1);
        early.abort();
        await eventually(() => first.isAborted);
        const late = client.ask();
        const second = await call(2);
        second.reply(200, 10);
        second.write('half');
        await eventually(() => late.text === 'half');
        late.abort();
        await eventually(() => second.isAborted);
      }));

    it('is cut for the client when the reply is cut, and no other is', () =>
      withParts(async ({ client, call }) => {
        const other = client.ask();
        const gotOther = await call(1);
        const asked = client.ask();
        const got = await call(2);
        got.reply(200, -1);
        got.write('half');
        await eventually(() => asked.text === 'half');
        got.cut();
        await eventually(() => asked.isCut);
        assert.equal(asked.isEnded, false);
        gotOther.reply(200, 0);
        gotOther.end();
        await eventually(() => other.isEnded);
      }));

    it('takes no more of the reply than the client does, and of no other less', () =>
      withParts(async ({ client, call }) => {
        const asked = client.ask();
        asked.pause();
        const got = await call(1);
        got.reply(200, -1);
        const count = await fill(got.write);
        assert.ok(count < 1_000, `${count} pieces were taken`);
        await askAndAnswer({ client, call }, 2);
        asked.read();
        got.end();
        await eventually(() => asked.isEnded);
        assert.equal(asked.text.length, count * piece.length);
      }));

    it('takes no more of the request than the pod does, and of no other less', () =>
      withParts(async ({ client, call }) => {
        const asked = client.ask({ method: 'POST', bodyBytes: -1 });
        const got = await call(1);
        got.pause();
        const count = await fill(asked.write);
        assert.ok(count < 1_000, `${count} pieces were taken`);
        await askAndAnswer({ client, call }, 2);
        got.read();
        asked.end();
        await eventually(() => got.isEnded);
        assert.equal(got.text.length, count * piece.length);
        got.reply(200, 0);
        got.end();
        await eventually(() => asked.isEnded);
      }));

    it('is answered 413 when its body is longer than allowed, as soon as that is seen', () =>
      withParts(
        async ({ client }) => {
          const known = client.ask({ method: 'POST', bodyBytes: 11 });
          await eventually(() => known.status === 413);
          const streamed = client.ask({ method: 'POST', bodyBytes: -1 });
          streamed.write('01234567890');
          await eventually(() => streamed.status === 413);
        },
        {},
        { limits: { bodyBytes: 10 } },
      ));

    it('ends in peace when the gateway drains', () =>
      withParts(async ({ client, gateway, call }) => {
        const asked = client.ask();
        const got = await call(1);
        const stopped = gateway.stop({ graceMs: 600_000 });
        got.reply(200, -1);
        got.write('to the ');
        await eventually(() => asked.text === 'to the ');
        got.write('end');
        got.end();
        await eventually(() => asked.isEnded);
        assert.equal(asked.text, 'to the end');
        await stopped;
      }));

    it('ends alone at an error of the gateway itself', async () => {
      const metrics = new Metrics('gateway');
      const run = async ({ client, origin, gateway, call }: Parts) => {
        const other = client.ask();
        const got = await call(1);
        gateway.publish(routesOf([], { endpoints: [{ host: '127.0.0.1', port: origin.port, protocol: 'none' }] }));
        const asked = client.ask();
        await eventually(() => asked.isEnded);
        assert.equal(asked.status, 500);
        assert.match(await metrics.text(), /^kittiwake_gateway_internal_errors_total\{role="gateway"\} 1$/m);
        got.reply(200, 0);
        got.end();
        await eventually(() => other.isEnded);
      };
      await withParts(run, {}, { metrics });
    });
  });
}

it('a client that announces a protocol which is not there is none of HTTP/1', async (t) => {
  const gateway = await startTestGateway(t, routesOf([]));
  assert.equal(statusOf(await gateway.connect().send(`${preface}\r\n\r\n`).ended()), 400);
});
