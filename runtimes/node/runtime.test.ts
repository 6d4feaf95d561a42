import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { type FunctionFolder, openFunctionFolder } from './testing/running.ts';

const event = { 'ce-id': '1', 'ce-source': '/orders', 'ce-type': 'order.placed', 'ce-specversion': '1.0' };
describe('the runtime', () => {
  let folder: FunctionFolder;
  before(async () => {
    folder = await openFunctionFolder();
  });
  after(() => folder.remove());
  const start = (...what: Parameters<FunctionFolder['start']>) => folder.start(...what);

  const json = { 'content-type': 'application/json' };
  const post = (url: string, body: string, headers: Record<string, string> = {}) =>
    fetch(url, { method: 'POST', body, headers });

  test('what a function returns becomes the reply that Knative functions give', async () => {
    const running = await start(`
    const replies = {
      nothing: () => undefined,
      text: () => 'hello',
      object: () => ({ a: [1] }),
      list: () => [1, 2],
      bytes: () => Buffer.from([0, 255]),
      structured: () => ({ statusCode: 201, headers: { 'X-A': 'b' }, body: { made: true } }),
      typed: () => ({ headers: { 'content-type': 'text/html' }, body: '<p>' }),
      cookies: () => ({ statusCode: 204, headers: { 'set-cookie': ['a=1', 'b=2'] } }),
      number: () => 42,
      later: () => new Promise((resolve) => setImmediate(() => resolve('later'))),
      status: () => { throw Object.assign(new Error('no such order'), { statusCode: 404 }); },
      secret: () => { throw new Error('password is x'); },
      wrong: () => ({ statusCode: 'ok' }),
    };
    export const handle = (context) => replies[context.query.reply]();`);
    const table: [string, number, string | null, string][] = [
      ['nothing', 204, null, ''],
      ['text', 200, 'text/plain; charset=utf-8', 'hello'],
      ['object', 200, 'application/json; charset=utf-8', '{"a":[1]}'],
      ['list', 200, 'application/json; charset=utf-8', '[1,2]'],
      ['bytes', 200, 'application/octet-stream', Buffer.from([0, 255]).toString('latin1')],
      ['structured', 201, 'application/json; charset=utf-8', '{"made":true}'],
      ['typed', 200, 'text/html', '<p>'],
      ['cookies', 204, null, ''],
      ['number', 200, 'application/json; charset=utf-8', '42'],
      ['later', 200, 'text/plain; charset=utf-8', 'later'],
      ['status', 404, 'text/plain; charset=utf-8', 'no such order\n'],
      ['secret', 500, 'text/plain; charset=utf-8', 'the function failed: its log says why\n'],
      ['wrong', 500, 'text/plain; charset=utf-8', 'the function failed: its log says why\n'],
    ];
    try {
      for (const [name, status, contentType, body] of table) {
        const reply = await fetch(`${running.url}/any/path?reply=${name}`);
        const bytes = Buffer.from(await reply.arrayBuffer()).toString('latin1');
        assert.deepEqual([reply.status, reply.headers.get('content-type'), bytes], [status, contentType, body], name);
        if (name === 'cookies') assert.deepEqual(reply.headers.getSetCookie(), ['a=1', 'b=2']);
        if (name === 'structured') assert.equal(reply.headers.get('x-a'), 'b');
      }
      await running.until(/ERROR GET \/any\/path\?reply=secret: the function threw: Error: password is x\n\s+at /);
      await running.until(/statusCode "ok": must be from 200 to 599/);
    } finally {
      await running.stop();
    }
  });

  test('the body is parsed by its content type, and the context says what was asked', async () => {
    const running = await start(`
    export const handle = (context, body) => {
      context.log.info('asked', context.method);
      const { method, path, query, httpVersion } = context;
      const shown = Buffer.isBuffer(body) ? 'bytes ' + body.length : body;
      return { body: { method, path, query, httpVersion, header: context.headers['x-a'], body: shown ?? null } };
    };`);
    try {
      const table: [Record<string, string>, string, unknown][] = [
        [json, '{"a":1}', { a: 1 }],
        [{ 'content-type': 'application/problem+json; charset=utf-8' }, '[1]', [1]],
        [{ 'content-type': 'application/x-www-form-urlencoded' }, 'a=1&b=x+y', { a: '1', b: 'x y' }],
        [{ 'content-type': 'text/plain' }, 'é', 'é'],
        [{ 'content-type': 'image/png' }, 'abc', 'bytes 3'],
        [{}, '', null],
      ];
      for (const [headers, body, expected] of table) {
        const reply = await post(`${running.url}/p?x=1&y=%20`, body, { 'x-a': 'b', ...headers });
        const said = await reply.json();
        const request = { method: 'POST', path: '/p', query: { x: '1', y: ' ' }, httpVersion: '1.1', header: 'b' };
        assert.deepEqual(said, { ...request, body: expected });
      }
      const bad = await post(running.url, '{"a":', json);
      assert.equal(bad.status, 400);
      assert.match(await bad.text(), /not JSON/);
      await running.until(/INFO asked POST/);
    } finally {
      await running.stop();
    }
  });

  test('an event comes in binary or structured, and a returned event goes out in binary, encoded', async () => {
    const running = await start(`
    export const handle = (context, event) => ({
      specversion: '1.0', id: event.id + '-reply', source: '/receipts', type: 'receipt.issued',
      subject: 'Zoë "%" €', partitionkey: event.subject ?? 'none',
      data: { got: event.data, same: event === context.cloudevent },
    });`);
    try {
      const binary = await post(running.url, '{"total":3}', { ...event, ...json, 'ce-subject': 'a%20b%E2%82%AC' });
      assert.equal(binary.headers.get('ce-id'), '1-reply');
      assert.equal(binary.headers.get('ce-subject'), 'Zo%C3%AB%20%22%25%22%20%E2%82%AC');
      assert.equal(binary.headers.get('ce-partitionkey'), 'a%20b%E2%82%AC');
      assert.equal(binary.headers.get('content-type'), 'application/json');
      assert.ok(binary.headers.get('ce-time'));
      assert.deepEqual(await binary.json(), { got: { total: 3 }, same: true });
      const body = JSON.stringify({ specversion: '1.0', id: '2', source: '/s', type: 't', data_base64: 'AP8=' });
      const structured = await post(running.url, body, { 'content-type': 'application/cloudevents+json' });
      assert.deepEqual(((await structured.json()) as { got: unknown }).got, { type: 'Buffer', data: [0, 255] });
      for (const [wrong, message] of [
        [{ ...event, 'ce-id': '' }, /no id/],
        [{ ...event, 'ce-specversion': '9' }, /specversion is "9"/],
      ] as const) {
        const refused = await post(running.url, '', wrong);
        assert.equal(refused.status, 400);
        assert.match(await refused.text(), message);
      }
    } finally {
      await running.stop();
    }
  });

  test('an event function that forgets a reply answers 204, and refuses what is no event', async () => {
    const running = await start('export const handle = async (context, event) => {};', {
      args: ['--invoke=cloudevent'],
    });
    try {
      assert.equal((await post(running.url, '{}', { ...event, ...json })).status, 204);
      const plain = await post(running.url, '{}', json);
      assert.equal(plain.status, 400);
      assert.match(await plain.text(), /takes CloudEvents/);
    } finally {
      await running.stop();
    }
  });

  test('CommonJS and TypeScript functions are loaded, as handle or as the module itself', async () => {
    const sources: [string, string][] = [
      ['a.cjs', "module.exports = async (context, body) => 'a';"],
      ['b.cjs', "exports.handle = () => 'b';"],
      ['c.ts', "export const handle = (context: { log: unknown }): string => 'c';"],
      ['d.mjs', "export default { handle: () => 'd' };"],
    ];
    for (const [file, code] of sources) {
      const running = await start(code, { file });
      assert.equal(await (await fetch(running.url)).text(), file[0]);
      assert.equal(await running.stop(), 0);
    }
  });

  test('what cannot be run ends the process with the file and the exports found', async () => {
    await assert.rejects(
      start('export const handler = () => 1; export const x = 1;'),
      /exit code 1: FATAL.*exports handler, x: it must export a function named handle/s,
    );
    await assert.rejects(start(''), /exports nothing: .*export const handle/s);
    await assert.rejects(start("import 'no-such-package';"), /f\d+\.js could not be loaded: .*no-such-package/s);
    await assert.rejects(start('export const handle = 1; const a = ;'), /could not be loaded.*SyntaxError/s);
    await assert.rejects(
      start("export const handle = () => 1; export const init = () => { throw new Error('no database'); };"),
      /no database/,
    );
    await assert.rejects(
      start('setInterval(() => {}, 1000); export const x = 1;'),
      /exit code 1/,
      'a timer does not keep it',
    );
  });

  test('health paths ask the function', async () => {
    const running = await start(`
    let isReady = false;
    export const handle = () => { isReady = true; return 'x'; };
    export const readiness = () => isReady;
    export const liveness = async () => { if (isReady) throw new Error('dead'); };`);
    try {
      const health = async (path: string) => (await fetch(`${running.url}/health/${path}`)).status;
      assert.deepEqual([await health('readiness'), await health('liveness')], [503, 200]);
      await fetch(running.url);
      assert.deepEqual([await health('readiness'), await health('liveness')], [200, 503]);
    } finally {
      await running.stop();
    }
  });

  test('a body over the limit is refused, whether or not it says its length', async () => {
    const running = await start('export const handle = () => "x";', { env: { FUNC_BODY_LIMIT: '1000' } });
    try {
      assert.equal((await post(running.url, 'x'.repeat(1001))).status, 413);
      const stream = new ReadableStream({
        start(controller) {
          controller.enqueue(new Uint8Array(2000));
          controller.close();
        },
      });
      const init: RequestInit & { duplex: 'half' } = { method: 'POST', body: stream, duplex: 'half' };
      const chunked = await fetch(running.url, init);
      assert.equal(chunked.status, 413);
      assert.match(await chunked.text(), /longer than 1000 bytes \(FUNC_BODY_LIMIT\)/);
    } finally {
      await running.stop();
    }
  });

  test('SIGTERM lets requests finish, calls shutdown and ends with 0', async () => {
    const running = await start(`
    export const handle = (context) => {
      context.log.info('at work');
      return new Promise((resolve) => {
        process.once('SIGTERM', () => setTimeout(() => resolve('finished'), 50));
      });
    };
    export const shutdown = () => console.log('shut down');`);
    const slow = fetch(running.url);
    while (!running.output().includes('at work')) await once(running.child.stdout as NodeJS.ReadableStream, 'data');
    const code = running.stop();
    assert.equal(await (await slow).text(), 'finished');
    assert.equal(await code, 0);
    assert.match(running.output(), /shut down/);
  });
});
