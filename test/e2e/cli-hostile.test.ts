/** What answers the commands may be anything: each ends, in words, whatever comes back. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { writeAddresses } from '../../src/server/addresses.ts';
import { openDataDir } from '../../src/server/data-dir.ts';
import { kittiwake, newDataDir } from '../kit/platform.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const { dataDir, remove } = newDataDir();
const app = join(dataDir, 'app');
let answer: Answer = (_request, response) => response.end();
const server = createServer((request, response) => {
  request.resume();
  answer(request, response);
});
let held: { release(): void };

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  // This process plays the supervisor, and one server all that listens.
  held = openDataDir(dataDir);
  const kubeconfig = join(dataDir, 'kubeconfig');
  const named = (key: string, value: object) => [{ name: 'x', [key]: value }];
  const config = {
    'current-context': 'x',
    clusters: named('cluster', { server: url }),
    users: named('user', {}),
    contexts: named('context', { cluster: 'x', user: 'x' }),
  };
  writeFileSync(kubeconfig, JSON.stringify(config));
  const urls = { gatewayUrl: url, apiUrl: url, brokerUrl: url, registryUrl: url };
  const metricsUrls = { control: url, gateway: url, broker: url };
  writeAddresses(dataDir, { pid: process.pid, ...urls, kubeconfig, domain: 'localhost', metricsUrls });
  mkdirSync(app);
  writeFileSync(join(app, 'index.js'), '');
  writeFileSync(join(app, 'app.yaml'), '{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}');
});
after(() => {
  server.closeAllConnections();
  server.close();
  held.release();
  remove();
});

const commands: string[][] = [
  ['status'],
  ['get', 'ksvc'],
  ['get', 'ksvc', '-o', 'yaml'],
  ['get', 'things'],
  ['get', 'ksvc/a', '-o', 'json'],
  ['logs', 'a'],
  ['logs', 'a', '--build'],
  ['logs', 'a', '--follow'],
  ['invoke', 'a', '--timeout', '2'],
  ['send', '--type', 't', '--data', '{}'],
  ['deploy', app, '--timeout', '2'],
  ['apply', '-f', join(app, 'app.yaml')],
  ['delete', 'ksvc/a'],
];

const text = (status: number, body: string, type = 'application/json'): Answer => {
  return (_request, response) => response.writeHead(status, { 'content-type': type }).end(body);
};
const escapes = '\u001b[2J\u001b]0;owned\u0007';

const answers: Record<string, Answer> = {
  'nothing at all': text(200, ''),
  'no JSON': text(200, '<html>', 'text/html'),
  null: text(200, 'null'),
  'a number': text(200, '5'),
  'an empty object': text(200, '{}'),
  'an empty list': text(200, '[]'),
  'fields of wrong types': text(
    200,
    '{"metadata": 5, "items": {"a": 1}, "rows": 7, "columnDefinitions": "x", "spec": []}',
  ),
  'items that are none': text(
    200,
    '{"metadata": {"resourceVersion": "1"}, "items": [null, 5, {}, {"metadata": null}]}',
  ),
  'an error page': text(502, `<html>${escapes}</html>`, 'text/html'),
  'an error of wrong types': text(500, '{"kind": "Status", "message": {}, "reason": 5, "details": []}'),
  'a reply that breaks off': (_request, response) => {
    response.writeHead(200, { 'content-length': '100' }).write('{"a"');
    setTimeout(() => response.destroy(), 20);
  },
  'a connection that is closed': (request) => request.socket.destroy(),
  'what is no HTTP': (request) => request.socket.end('SSH-2.0-OpenSSH\r\n'),
  'a redirect to itself': (request, response) => response.writeHead(302, { location: request.url }).end(),
  'JSON nested too deep to be read': text(200, '['.repeat(200_000)),
};

for (const [name, each] of Object.entries(answers)) {
  test(`every command ends in words when the answer is: ${name}`, { timeout: 120_000 }, async () => {
    answer = each;
    const results = await Promise.all(commands.map((command) => kittiwake(dataDir, ...command)));
    assert.equal(results.length, commands.length);
    for (const [i, { code, stderr, stdout }] of results.entries()) {
      const what = `${commands[i]?.join(' ')}\n${stdout}\n${stderr}`;
      assert.ok(code >= 0 && code <= 2, what);
      assert.doesNotMatch(stderr, /\n {4}at |Cannot read prop|is not a function|is not iterable|node:internal/, what);
      if (code !== 0) assert.notEqual(stderr + stdout, '', what);
    }
  });
}

test('invoke and send do not wait for a reply that does not come, or does not end', { timeout: 60_000 }, async () => {
  const ofGateway = (rest: Answer): Answer => {
    const service = text(200, '{"metadata": {"name": "a"}, "spec": {}, "status": {}}');
    return (request, response) => (request.url?.startsWith('/apis/') ? service : rest)(request, response);
  };
  answer = ofGateway(() => {});
  const [invoked, sent] = await Promise.all([
    kittiwake(dataDir, 'invoke', 'a', '--timeout', '0.5'),
    kittiwake(dataDir, 'send', '--type', 't'),
  ]);
  assert.match(invoked.stderr, /^error: service a was silent for 0\.5 s/);
  assert.match(sent.stderr, /^error: the event was not sent to http/);
  answer = ofGateway((_request, response) => response.writeHead(200).write('the beginning'));
  const begun = await kittiwake(dataDir, 'invoke', 'a', '--timeout', '0.5');
  assert.deepEqual([begun.code, begun.stdout], [1, 'the beginning']);
  assert.match(begun.stderr, /error: service a was silent for 0\.5 s/);
});
