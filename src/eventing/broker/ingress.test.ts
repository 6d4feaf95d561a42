import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { removeDir, startTestBroker, type TestBroker } from './testing/fixture.ts';

describe('the ingress', () => {
  let broker: TestBroker;

  before(async () => {
    broker = await startTestBroker([], { limits: { eventBytesMax: 1000 } });
  });

  after(async () => {
    await broker.stop();
    await removeDir(broker.dir);
  });

  const event = { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/s', 'ce-type': 't' };
  const structured = { 'content-type': 'application/cloudevents+json' };

  test('what the ingress answers', async () => {
    const { 'ce-id': _, ...withoutId } = event;
    const table: [
      method: string,
      path: string,
      headers: Record<string, string>,
      body: string,
      status: number,
      says: RegExp,
    ][] = [
      ['POST', '/default/b', event, 'data', 202, /^$/],
      ['POST', '/default/b?x=1', event, '', 202, /^$/],
      ['POST', '/default/b', { ...event, 'ce-specversion': '0.3' }, '', 202, /^$/],
      ['POST', '/default/b', structured, '{"specversion":"1.0","id":"1","source":"/s","type":"t"}', 202, /^$/],
      ['POST', '/default/b', withoutId, '', 400, /^EVENT_INVALID: .*lacks "id"/],
      ['POST', '/default/b', {}, '{}', 400, /lacks "specversion"/],
      ['POST', '/default/b', { ...event, 'ce-specversion': '19.0' }, '', 400, /specversion is "19.0"/],
      ['POST', '/default/b', { ...event, 'ce-bad_name': 'x' }, '', 400, /"bad_name" is not an attribute name/],
      ['POST', '/default/b', { ...event, 'ce-knativebrokerttl': '1' }, '', 400, /goes round in a loop/],
      ['POST', '/default/b', structured, '{"specversion":', 400, /not JSON/],
      ['POST', '/default/b', { 'content-type': 'application/cloudevents-batch+json' }, '[]', 415, /MODE_UNSUPPORTED/],
      ['POST', '/default/b', event, 'x'.repeat(1001), 413, /^EVENT_TOO_LARGE: .*larger than 1000 bytes/],
      ['GET', '/default/b', {}, '', 405, /GET is not allowed/],
      ['PUT', '/default/b', event, '', 405, /PUT is not allowed/],
      ['POST', '/', event, '', 404, /brokers are at/],
      ['POST', '/default', event, '', 400, /names no broker/],
      ['POST', '/default/b/c', event, '', 400, /names no broker/],
      ['POST', '/default/other', event, '', 503, /^BROKER_NOT_READY: .*starting/],
    ];
    for (const [method, path, headers, body, status, says] of table) {
      const response = await fetch(broker.url + path, { method, headers, body: method === 'GET' ? null : body });
      const what = `${method} ${path} ${JSON.stringify(headers)}`;
      assert.equal(response.status, status, what);
      assert.match((await response.text()).trim(), says, what);
      if (status === 405) assert.equal(response.headers.get('allow'), 'POST, OPTIONS');
      if (status === 503) assert.equal(response.headers.get('retry-after'), '1');
    }
  });

  test('the handshake of webhooks is answered', async () => {
    const response = await fetch(`${broker.url}/default/b`, {
      method: 'OPTIONS',
      headers: { 'webhook-request-origin': 'example.com' },
    });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('allow'), 'POST, OPTIONS');
    assert.equal(response.headers.get('webhook-allowed-origin'), '*');
    assert.equal(response.headers.get('webhook-allowed-rate'), '*');
  });

  test('what a browser sends for a page of another site is refused, whatever it is', async () => {
    const strangers = [
      'Origin: http://evil.test',
      'Origin: null',
      'Sec-Fetch-Site: same-site',
      'Sec-Fetch-Site: cross-site',
    ];
    const tail = `Content-Length: 0\r\nConnection: close\r\n${heads(event)}\r\n`;
    const preflight = 'Origin: http://evil.test\r\nAccess-Control-Request-Method: POST';
    for (const header of strangers) {
      const answer = await raw(`POST /default/b HTTP/1.1\r\nHost: b\r\n${header}\r\n${tail}`);
      assert.match(
        answer,
        /^HTTP\/1.1 403 [\s\S]*CROSS_SITE: .*web page of (http:\/\/evil\.test|null|another site)/,
        header,
      );
    }
    const asked = await raw(`OPTIONS /default/b HTTP/1.1\r\nHost: b\r\n${preflight}\r\n${tail}`);
    assert.match(asked, /^HTTP\/1.1 403 /);
    assert.doesNotMatch(asked, /access-control/i);
    for (const header of ['Sec-Fetch-Site: none', 'Origin: http://b', 'User-Agent: curl']) {
      assert.match(await raw(`POST /default/b HTTP/1.1\r\nHost: b\r\n${header}\r\n${tail}`), /^HTTP\/1.1 202 /, header);
    }
  });

  test('a body without a length is cut off at the limit', async () => {
    const answer = await raw(
      `POST /default/b HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n${heads(event)}\r\n` +
        `${'7d0\r\n'}${'x'.repeat(2000)}\r\n0\r\n\r\n`,
    );
    assert.match(answer, /^HTTP\/1.1 413 /);
    assert.match(answer, /connection: close/i);
  });

  test('of many small headers none is left out: an event that lacked some would be another event', async () => {
    const many = 'x:\r\n'.repeat(2500);
    const tail = 'Content-Length: 0\r\nConnection: close\r\n\r\n';
    assert.match(await raw(`POST /default/b HTTP/1.1\r\nHost: b\r\n${many}${heads(event)}${tail}`), /^HTTP\/1.1 202 /);
  });

  test('who pipelines more than anybody does is cut off; who waits for answers is not', async () => {
    const one = `POST /default/b HTTP/1.1\r\nHost: b\r\n${heads(event)}Content-Length: 0\r\n`;
    const some = await raw(`${`${one}\r\n`.repeat(49)}${one}Connection: close\r\n\r\n`);
    assert.equal(some.match(/HTTP\/1.1 202 /g)?.length, 50);
    const many = await raw(`${one}\r\n`.repeat(500));
    assert.ok((many.match(/HTTP\/1.1 202 /g)?.length ?? 0) < 500);
  });

  test('headers over the limit and malformed requests are refused', async () => {
    assert.match(
      await raw(`POST /default/b HTTP/1.1\r\nHost: b\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`),
      /^HTTP\/1.1 431 /,
    );
    assert.match(await raw('POST /default/b HTTP/1.1\r\nHost b\r\n\r\n'), /^HTTP\/1.1 400 /);
    const both = 'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n';
    assert.match(await raw(`POST /default/b HTTP/1.1\r\nHost: b\r\n${both}\r\n0\r\n\r\n`), /^HTTP\/1.1 400 /);
  });

  const heads = (headers: Record<string, string>): string =>
    Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('');

  /** Sends bytes as they are, and resolves with all that comes back. */
  function raw(text: string): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect(broker.port, '127.0.0.1');
      let answer = '';
      socket.setEncoding('latin1').on('data', (chunk) => {
        answer += chunk;
      });
      // The server may reset a connection whose request it did not read to the end: what counts is what it said.
      socket.on('error', () => resolve(answer));
      socket.on('close', () => resolve(answer));
      socket.write(text);
    });
  }
});
