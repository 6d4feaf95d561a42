import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Quarantine } from '../lib/quarantine.ts';
import {
  closing,
  ok,
  onHeads,
  requestText,
  routesOf,
  startRawOrigin,
  startReplyOrigin,
  startTestGateway,
  statusOf,
} from './testing/fixture.ts';

const bad = 'GET hello.default.localhost /bad';

describe('a request that has ended the gateway twice', () => {
  it('is answered 503 with the way back, whatever its query, and no other is', async (t) => {
    const heads: string[] = [];
    const origin = await startRawOrigin(t, (socket) =>
      onHeads(socket, (head) => {
        heads.push(head.slice(0, head.indexOf(' HTTP')));
        socket.write(ok);
      }),
    );
    const quarantine = new Quarantine({ setAside: [bad] });
    const gateway = await startTestGateway(t, routesOf([origin.port]), { quarantine });
    const client = gateway.request('GET /bad?x=1');
    await client.untilHas('release gateway');
    assert.equal(statusOf(client.text), 503);
    assert.match(client.text, /kittiwake release gateway 'GET hello\.default\.localhost \/bad'/);
    client.request('GET /bad/2', closing);
    assert.match(await client.ended(), /200 OK/);
    assert.equal(statusOf(await gateway.exchange('PUT /bad', closing)), 200);
    assert.deepEqual(heads, ['GET /bad/2', 'PUT /bad']);
    quarantine.update([]);
    assert.equal(statusOf(await gateway.exchange('GET /bad', closing)), 200);
  });

  it('was written down while it was under way, and none is that has ended its turn', async (t) => {
    const origin = await startReplyOrigin(t);
    const begun: string[] = [];
    let open = 0;
    let openMax = 0;
    const board = {
      begin(name: string, isSuspect: boolean) {
        assert.ok(isSuspect);
        begun.push(name);
        openMax = Math.max(openMax, ++open);
        return begun.length;
      },
      end(slot: number) {
        if (slot > 0) open--;
      },
    };
    const quarantine = new Quarantine({ board, isCareful: true });
    const gateway = await startTestGateway(t, routesOf([origin.port]), { quarantine });
    const client = gateway.connect().send(requestText('GET /a?b') + requestText('GET /c', closing));
    assert.equal((await client.ended()).split('200 OK').length, 3);
    assert.ok(begun.includes('GET hello.default.localhost /a'));
    assert.ok(begun.includes('GET hello.default.localhost /c'));
    assert.deepEqual([open, openMax], [0, 1]);
  });

  it('is looked for by a bounded name', async (t) => {
    const long = `GET hello.default.localhost /${'a'.repeat(5_000)}`;
    const quarantine = new Quarantine({ setAside: [`${long.slice(0, 79)}…${long.slice(-79)}`] });
    const gateway = await startTestGateway(t, routesOf([]), { quarantine });
    const text = await gateway.exchange(`GET /${'a'.repeat(5_000)}`, closing);
    assert.equal(statusOf(text), 503);
    assert.ok(text.length < 1_000);
  });
});
