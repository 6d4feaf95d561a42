import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { systemClock } from '../lib/clock.ts';
import { silentLogger } from '../observe/log.ts';
import { startGateway } from './index.ts';
import { startChildGateway } from './testing/child-gateway.ts';
import {
  closing,
  eventually,
  exchange,
  ok,
  onHeads,
  RawClient,
  requestText,
  routesOf,
  startRawOrigin,
  startReplyOrigin,
  startTestGateway,
  statusOf,
} from './testing/fixture.ts';

/** A socket that is bound and nothing more, as a supervisor has it; undocumented, and what node:cluster lends. */
function boundHandle(): { close(): void } {
  const create = (net as unknown as { _createServerHandle(host: string, port: number, type: 4): { close(): void } })
    ._createServerHandle;
  return create('127.0.0.1', 0, 4);
}

describe('a gateway on a lent socket', () => {
  it('is succeeded by another while it drains: nobody is refused, and what it has begun it ends', async (t) => {
    let answer: (() => void) | undefined;
    const origin = await startRawOrigin(t, (socket) =>
      onHeads(socket, (head) => {
        if (head.startsWith('GET /slow')) answer = () => socket.write(ok);
        else socket.write(ok);
      }),
    );
    const handle = boundHandle();
    const gateway = await startTestGateway(t, routesOf([origin.port]), { handle });
    const { port } = gateway;
    const slow = new RawClient(port).request('GET /slow');
    const silent = new RawClient(port);
    await eventually(() => answer !== undefined);
    const replies: string[] = [];
    let isOver = false;
    const ask = async () => {
      while (!isOver) replies.push(await exchange(port, requestText('GET /', closing)));
    };
    const asking = [ask(), ask(), ask(), ask()];
    const successor = await startChildGateway([origin.port], { handle });
    assert.equal(successor.port, port);
    let hasStopped = false;
    const stopped = gateway.stop({ graceMs: 600_000 }).then(() => {
      hasStopped = true;
    });
    const before = replies.length;
    await eventually(() => replies.length > before + 50);
    isOver = true;
    await Promise.all(asking);
    assert.deepEqual([...new Set(replies.map(statusOf))], [200]);
    assert.match(await silent.request('GET /').ended(), /200 OK[\s\S]*\r\nConnection: close\r\n/);
    assert.equal(hasStopped, false);
    answer?.();
    assert.equal(statusOf(await slow.ended()), 200);
    await stopped;
    assert.equal(statusOf(await exchange(port, requestText('GET /', closing))), 200);
    await successor.kill();
    handle.close();
  });

  it('leaves connections waiting there when it is killed, and the next gateway answers them', async (t) => {
    const origin = await startReplyOrigin(t);
    const handle = boundHandle();
    const first = await startChildGateway([origin.port], { handle });
    assert.equal(statusOf(await exchange(first.port, requestText('GET /', closing))), 200);
    await first.kill();
    const clients = Array.from({ length: 50 }, () => new RawClient(first.port).request('GET /', closing));
    await Promise.all(clients.map(({ socket }) => once(socket, 'connect')));
    assert.ok(clients.every(({ text, isEnded }) => text === '' && !isEnded));
    const second = await startChildGateway([origin.port], { handle });
    assert.equal(second.port, first.port);
    for (const client of clients) assert.equal(statusOf(await client.ended()), 200);
    await second.kill();
    handle.close();
  });

  it('closes only its own hold of it when it stops', async (t) => {
    const origin = await startReplyOrigin(t);
    const handle = boundHandle();
    const other = await startChildGateway([origin.port], { handle });
    const gateway = await startGateway({
      source: { start: async (onChange) => onChange(routesOf([origin.port])), stop() {} },
      port: 0,
      handle,
      autoscaler: { url: 'http://127.0.0.1:9' },
      id: 'lent',
      clock: systemClock,
      log: silentLogger,
    });
    assert.equal(gateway.port, other.port);
    await gateway.stop();
    assert.equal(statusOf(await exchange(other.port, requestText('GET /', closing))), 200);
    await other.kill();
  });

  it('takes a server that listens already, too', async (t) => {
    const origin = await startReplyOrigin(t);
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const gateway = await startGateway({
      source: { start: async (onChange) => onChange(routesOf([origin.port])), stop() {} },
      port: 0,
      handle: server,
      autoscaler: { url: 'http://127.0.0.1:9' },
      id: 'lent',
      clock: systemClock,
      log: silentLogger,
    });
    assert.equal(statusOf(await exchange(gateway.port, requestText('GET /', closing))), 200);
    await gateway.stop();
  });
});
