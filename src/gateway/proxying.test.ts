import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import {
  closing,
  eventually,
  exchange,
  host,
  isLeft,
  onHeads,
  type RawClient,
  requestText,
  routesOf,
  startHttpOrigin,
  startRawOrigin,
  startReplyOrigin,
  startTestGateway,
  statusOf,
} from './testing/fixture.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';

describe('a request', () => {
  it('reaches the revision with what the gateway knows of it, and without what concerns one hop', async (t) => {
    const origin = await startReplyOrigin(t, ok);
    const { heads } = origin;
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const fields =
      'A: b\r\nConnection: close, X-Secret\r\nKeep-Alive: timeout=1\r\nX-Secret: 1\r\nTE: trailers\r\n' +
      'Proxy-Authorization: x\r\nKnative-Serving-Revision: forged\r\nHTTP2-Settings: AAA\r\n' +
      'X-Forwarded-For: 10.1.1.1\r\nCookie: c=1\r\n' +
      'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n';
    const text = await gateway.exchange('GET /a?b=c', fields);
    assert.equal(statusOf(text), 200);
    const traceparent = /\r\ntraceparent: (.*)\r\n/.exec(heads[0] ?? '')?.[1] ?? '';
    assert.match(traceparent, /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01$/);
    assert.deepEqual(heads[0]?.replace(traceparent, 'T').split('\r\n'), [
      'GET /a?b=c HTTP/1.1',
      `Host: ${host}`,
      'A: b',
      'Cookie: c=1',
      'X-Forwarded-For: 10.1.1.1, 127.0.0.1',
      'X-Forwarded-Proto: http',
      `X-Forwarded-Host: ${host}`,
      `Forwarded: for=127.0.0.1;host=${host};proto=http`,
      'traceparent: T',
      'X-Request-Id: 0af7651916cd43dd8448eb211c80319c',
      'Knative-Serving-Revision: hello-00001',
      'Knative-Serving-Namespace: default',
      '',
      '',
    ]);
  });

  it('in absolute form is sent in origin form, to the host that it names', async (t) => {
    const origin = await startReplyOrigin(t, ok);
    const { heads } = origin;
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const text = `GET http://${host}:80?q HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n`;
    assert.equal(statusOf(await exchange(gateway.port, text)), 200);
    assert.match(heads[0] ?? '', new RegExp(`^GET /\\?q HTTP/1.1\r\nHost: ${host}:80\r\n`));
  });

  it('finds its host whatever the case and the port, after an empty line too', async (t) => {
    const origin = await startReplyOrigin(t, ok);
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const text = `\r\nGET / HTTP/1.1\r\nHOST: ${host.toUpperCase()}:8080\r\nConnection: close\r\n\r\n`;
    assert.equal(statusOf(await exchange(gateway.port, text)), 200);
  });

  it('of an unknown host is answered 404 with a remedy, and the connection stays', async (t) => {
    const gateway = await startTestGateway(t, routesOf([]));
    const client = gateway.connect().send('GET / HTTP/1.1\r\nHost: nobody\r\n\r\n');
    assert.match(
      await client.untilHas('served'),
      /^HTTP\/1.1 404 .*no route for host "nobody": 'kittiwake get ksvc -A' lists/s,
    );
    client.send('HEAD / HTTP/1.1\r\nHost: nobody\r\nConnection: close\r\n\r\n');
    const head = (await client.ended()).slice(client.text.lastIndexOf('HTTP/1.1'));
    assert.match(head, /^HTTP\/1.1 404 [\s\S]*\r\n\r\n$/);
  });

  it('may follow another at once: replies come in order, each with its own body', async (t) => {
    const origin = await startHttpOrigin(t, (incoming, response) => {
      let body = '';
      incoming.on('data', (bytes) => {
        body += bytes;
      });
      incoming.on('end', () => response.end(`${incoming.method} ${incoming.url} ${body}`));
    });
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.connect();
    client.send(
      requestText('GET /1') +
        requestText('POST /2', 'Content-Length: 3\r\n', 'abc') +
        requestText('POST /3', 'Transfer-Encoding: chunked\r\n', '3;x=y\r\ndef\r\n0\r\nT: v\r\n\r\n') +
        requestText('GET /4', closing),
    );
    const text = await client.ended();
    assert.deepEqual(text.match(/(GET|POST) \/\d \w*?(?=HTTP|$)/g), [
      'GET /1 ',
      'POST /2 abc',
      'POST /3 def',
      'GET /4 ',
    ]);
  });

  it('is the same however its bytes arrive', { timeout: 20_000 }, async (t) => {
    const seen: string[] = [];
    const origin = await startHttpOrigin(t, (incoming, response) => {
      let body = '';
      incoming.on('data', (bytes) => {
        body += bytes;
      });
      incoming.on('end', () => {
        seen.push(`${incoming.method} ${incoming.url} ${incoming.headers.a} ${body} ${incoming.trailers.t}`);
        response.end('done');
      });
    });
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const bytes = requestText(
      'POST /x',
      'A: b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n',
      '3;e=f\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n',
    );
    for (let at = 1; at < bytes.length; at++) {
      const client = gateway.connect().send(bytes.slice(0, at));
      await new Promise((resolve) => setImmediate(resolve));
      client.send(bytes.slice(at));
      assert.equal(statusOf(await client.ended()), 200, `split at ${at}`);
    }
    assert.deepEqual(new Set(seen), new Set(['POST /x b abc0123456789 v']));
    assert.equal(seen.length, bytes.length - 1);
  });
});

describe('a body', () => {
  it('of 20 MB streams through both ways unchanged', { timeout: 20_000 }, async (t) => {
    const origin = await startHttpOrigin(t, (incoming, response) => {
      response.writeHead(200);
      incoming.pipe(response);
    });
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const sent = randomBytes(20_000_000);
    for (const framing of [{ 'content-length': sent.length }, { 'transfer-encoding': 'chunked' }]) {
      const outgoing = request({
        port: gateway.port,
        host: '127.0.0.1',
        method: 'POST',
        headers: { host, ...framing },
      });
      outgoing.end(sent);
      const [response] = await once(outgoing, 'response');
      const parts: Buffer[] = [];
      for await (const bytes of response) parts.push(bytes);
      assert.ok(Buffer.concat(parts).equals(sent));
    }
  });

  it('is read no faster than the client takes it', async (t) => {
    let written = 0;
    let isStuck = false;
    const origin = await startHttpOrigin(t, (_, response) => {
      const block = Buffer.alloc(64 * 1024);
      const more = () => {
        isStuck = false;
        while (response.write(block)) written += block.length;
        isStuck = true;
      };
      response.on('drain', more);
      more();
    });
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.connect();
    client.socket.pause();
    client.request('GET /');
    let last = -1;
    // It stands still once the kernel's buffers and the gateway's small ones are full.
    while (!isStuck || last !== written) {
      last = written;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.ok(written < 50_000_000, `${written} bytes were taken from the origin`);
    client.close();
  });

  it('is taken no faster from the client than the revision reads it', async (t) => {
    const origin = await startRawOrigin(t, (socket) => socket.pause());
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.request('POST /', 'Content-Length: 1000000000\r\n');
    const block = Buffer.alloc(64 * 1024);
    let last = -1;
    const pending = () => client.socket.bytesWritten - client.socket.writableLength;
    while (last !== pending()) {
      last = pending();
      while (client.socket.write(block));
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.ok(pending() < 50_000_000, `${pending()} bytes were taken from the client`);
    client.close();
  });

  it('goes where its own request goes, whatever connection the last one of its client had', async (t) => {
    for (const framing of ['Content-Length: 6\r\n', 'Transfer-Encoding: chunked\r\n']) {
      const bodies: string[] = [];
      const origin = await startHttpOrigin(t, async (incoming, response) => {
        let body = '';
        for await (const bytes of incoming) body += bytes;
        bodies.push(body);
        response.writeHead(200, { connection: 'close', 'content-length': 2 }).end('ok');
      });
      const gateway = await startTestGateway(t, routesOf([origin.port]));
      const client = gateway.connect();
      const pieces = framing.startsWith('C') ? ['abc', 'def'] : ['3\r\nabc\r\n', '3\r\ndef\r\n0\r\n\r\n'];
      const post = (more = '') => client.request('POST /', framing + more, pieces[0]);
      post();
      await gateway.report(({ averageConcurrency }) => averageConcurrency > 0);
      client.send(pieces[1] ?? '');
      await client.untilHas('ok');
      gateway.publish(routesOf([]));
      post(closing);
      await gateway.report(({ queued }) => queued === 1);
      client.send(pieces[1] ?? '');
      await new Promise((resolve) => setImmediate(resolve));
      gateway.publish(routesOf([origin.port]));
      assert.equal((await client.ended()).split('200 OK').length, 3);
      assert.deepEqual(bodies, ['abcdef', 'abcdef']);
      await gateway.stop();
      origin.close();
    }
  });

  it('over the limit is answered 413, by its length or as soon as it is too long', async (t) => {
    const origin = await startRawOrigin(t, () => {});
    const gateway = await startTestGateway(t, routesOf([origin.port]), { limits: { bodyBytes: 10 } });
    const known = await gateway.exchange('POST /', 'Content-Length: 11\r\n');
    assert.equal(statusOf(known), 413);
    const streamed = requestText('POST /', 'Transfer-Encoding: chunked\r\n', 'b\r\n01234567890\r\n');
    assert.equal(statusOf(await exchange(gateway.port, streamed)), 413);
  });

  it('that the client withholds for 100 Continue is asked for by the revision', async (t) => {
    const origin = await startHttpOrigin(t, (incoming, response) => {
      incoming.pipe(response);
    });
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.connect();
    client.request('POST /', 'Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n');
    assert.equal(await client.untilHas('\r\n\r\n'), 'HTTP/1.1 100 Continue\r\n\r\n');
    client.send('abc');
    assert.match(await client.ended(), /200 OK[\s\S]*abc/);
  });
});

describe('a reply', () => {
  const replies: [name: string, method: string, reply: string, expected: RegExp][] = [
    ['with a length', 'GET', ok, /^HTTP\/1.1 200 OK\r\nContent-Length: 5\r\nDate: [\s\S]*\r\n\r\nhello$/],
    ['without a body', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n', /^HTTP\/1.1 204 No Content\r\nDate: [^\r]*\r\n\r\n$/],
    [
      'not modified',
      'GET',
      'HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n',
      /304 X\r\nContent-Length: 9\r\n[\s\S]*\r\n\r\n$/,
    ],
    [
      'to HEAD',
      'HEAD',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
      /200 OK\r\nContent-Length: 5\r\n[\s\S]*\r\n\r\n$/,
    ],
    ['to HEAD, chunked', 'HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', /200 OK\r\n[\s\S]*\r\n\r\n$/],
    [
      'in chunks with trailers',
      'GET',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n' +
        '5;a=b\r\nhello\r\n0\r\nT: v\r\nContent-Length: 1\r\n\r\n',
      /Trailer: T\r\nTransfer-Encoding: chunked\r\n[\s\S]*\r\n\r\n5\r\nhello\r\n0\r\nT: v\r\n\r\n$/,
    ],
    [
      'after interim ones',
      'GET',
      `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${ok}`,
      /^HTTP\/1.1 102 Processing\r\n\r\nHTTP\/1.1 103 Early Hints\r\nLink: <\/a>\r\n\r\nHTTP\/1.1 200 OK[\s\S]*hello$/,
    ],
    ['without a reason', 'GET', 'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n', /^HTTP\/1.1 200 \r\n/],
    [
      'with hop-by-hop fields',
      'GET',
      `HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nA: b\r\n${ok.slice(17)}`,
      /OK\r\nA: b\r\nC/,
    ],
    [
      'with a Date',
      'GET',
      `HTTP/1.1 200 OK\r\nDate: d\r\n${ok.slice(17)}`,
      /OK\r\nDate: d\r\nContent-Length: 5\r\n\r\nhello$/,
    ],
    [
      'that demands an upgrade',
      'GET',
      'HTTP/1.1 426 Upgrade Required\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n',
      /426 [\s\S]*\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n$/,
    ],
  ];
  for (const [name, method, reply, expected] of replies) {
    it(`${name} is passed on, and the connection can be used again`, async (t) => {
      const origin = await startReplyOrigin(t, reply);
      const gateway = await startTestGateway(t, routesOf([origin.port]));
      const client = gateway.connect();
      for (let turn = 0; turn < 2; turn++) {
        client.text = '';
        client.request(`${method} /`);
        assert.match(await client.until((text) => expected.test(text)), expected);
      }
      assert.equal(origin.accepted, 1, 'both requests used one upstream connection');
      client.close();
    });
  }

  it('that ends with its connection is passed on in chunks', async (t) => {
    for (const version of ['HTTP/1.1', 'HTTP/1.0']) {
      const origin = await startRawOrigin(t, (socket) =>
        onHeads(socket, () => {
          socket.write(`${version} 200 OK\r\n\r\nhel`);
          socket.end('lo');
        }),
      );
      const gateway = await startTestGateway(t, routesOf([origin.port]));
      const client = gateway.request('GET /');
      const text = await client.untilHas('0\r\n\r\n');
      assert.equal(
        text
          .slice(text.indexOf('\r\n\r\n') + 4)
          .replace(/[0-9a-f]+\r\n([^\r]*)\r\n/g, '$1')
          .trim(),
        'hello',
      );
      client.request('GET /', closing);
      assert.equal((await client.ended()).split('HTTP/1.1 200').length, 3);
      await gateway.stop();
      origin.close();
    }
  });

  it('is the same however its bytes arrive', { timeout: 20_000 }, async (t) => {
    const reply =
      'HTTP/1.1 103 Early\r\nL: x\r\n\r\nHTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n' +
      '5;a=b\r\nhello\r\n0\r\nT: v\r\n\r\n';
    let at = 1;
    const origin = await startRawOrigin(t, (socket) =>
      onHeads(socket, () => {
        socket.write(reply.slice(0, at));
        setImmediate(() => socket.write(reply.slice(at++)));
      }),
    );
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const texts = new Set<string>();
    while (at < reply.length) texts.add(await gateway.exchange('GET /', closing));
    assert.equal(texts.size, 1);
    assert.match([...texts][0] ?? '', /^HTTP\/1.1 103 [\s\S]*HTTP\/1.1 200 OK[\s\S]*5\r\nhello\r\n0\r\nT: v\r\n\r\n$/);
  });

  it('whose last piece fills the client leaves its connection upstream fit for the next request', async (t) => {
    const head = 'HTTP/1.1 200 OK\r\nContent-Length: 65000\r\nX: ';
    // As much as the gateway reads at once: the client's socket asks to wait just when the reply is complete.
    const large = `${head}${'x'.repeat(65_536 - 65_000 - head.length - 4)}\r\n\r\n${'y'.repeat(65_000)}`;
    const origin = await startReplyOrigin(t, large);
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.connect();
    for (let turn = 0; turn < 20; turn++) {
      client.text = '';
      client.request('GET /');
      await client.until((text) => text.endsWith('y'.repeat(65_000)));
    }
    client.close();
  });

  it('in chunks is passed on as it came, not cut anew', async (t) => {
    let socket: Socket | undefined;
    const origin = await startRawOrigin(t, (one) =>
      onHeads(one, () => {
        socket = one;
        one.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel');
      }),
    );
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.request('GET /');
    await client.untilHas('hel');
    socket?.write('lo\r\n0\r\n\r\n');
    assert.match(await client.untilHas('0\r\n\r\n'), /\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/);
    client.close();
  });

  it('that comes before the request has ended closes the connection after it', async (t) => {
    const origin = await startReplyOrigin(t, 'HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno');
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const text = await gateway.exchange('POST /', 'Content-Length: 1000\r\n', 'abc');
    assert.match(text, /^HTTP\/1.1 413 Too Large[\s\S]*no$/);
    // What is left of the request must not be taken from the next one's bytes.
    await gateway.exchange('GET /', closing);
    assert.equal(origin.accepted, 2);
    await eventually(() => isLeft(origin));
  });
});

describe('a client that leaves', () => {
  const leaving: [name: string, leave: (client: RawClient) => void][] = [
    ['by closing', (client) => client.close()],
    ['by a reset', (client) => client.socket.resetAndDestroy()],
    ['by ending its half', (client) => client.socket.end()],
  ];
  for (const [name, leave] of leaving) {
    it(`${name} before the reply or in its midst aborts the request upstream`, async (t) => {
      for (const part of ['', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel']) {
        let heads = 0;
        const origin = await startRawOrigin(t, (socket) =>
          onHeads(socket, () => {
            heads++;
            socket.write(part);
          }),
        );
        const gateway = await startTestGateway(t, routesOf([origin.port]));
        const client = gateway.request('GET /');
        await eventually(() => heads === 1);
        if (part !== '') await client.untilHas('hel');
        leave(client);
        await eventually(() => isLeft(origin));
        client.close();
        await gateway.stop();
        origin.close();
      }
    });
  }
});
