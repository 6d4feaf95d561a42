import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { ConfigMapKind } from '../../api/core/config-map.ts';
import type { Client } from '../client.ts';
import { httpClient } from './http-client.ts';

async function withServer(answer: (response: ServerResponse) => void, use: (client: Client) => Promise<void>) {
  const server = createServer((_request, response) => answer(response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    await use(httpClient({ server: `http://127.0.0.1:${port}` }));
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const line = (name: string) => `${JSON.stringify({ type: 'ADDED', object: { metadata: { name } } })}\n`;

/** What a watch brings, and how it fails. */
async function follow(client: Client): Promise<{ names: string[]; failure: string | undefined }> {
  const names: string[] = [];
  try {
    const { signal } = new AbortController();
    for await (const event of client.watch(ConfigMapKind, { resourceVersion: '1', signal })) {
      if (event.type !== 'BOOKMARK') names.push(event.object.metadata.name);
    }
    return { names, failure: undefined };
  } catch (error) {
    return { names, failure: (error as Error).message };
  }
}

const endlessLine = (response: ServerResponse) => {
  const more = () => {
    while (!response.destroyed && response.write('x'.repeat(65_536)));
  };
  response.on('drain', more);
  response.write(line('a'));
  more();
};

describe('a watch whose server sends', () => {
  for (const [what, send, failure] of [
    [
      'half a line, and ends',
      (r) => r.end(`${line('a')}{"type":"ADDED","obj`),
      /only a part of one: {"type":"ADDED","obj$/,
    ],
    ['half a line, and breaks off', (r) => r.write(`${line('a')}{"type"`, () => r.destroy()), /aborted|only a part/],
    ['a line without end', endlessLine, /a line of the stream is longer than 16777216 characters/],
    ['what is no JSON', (r) => r.end(`${line('a')}<html>\n${line('b')}`), /no watch event, .*: <html>$/],
    ['JSON that is no event', (r) => r.end(`${line('a')}null\n`), /no watch event, .*: null$/],
    ['an event without an object', (r) => r.end(`${line('a')}{"type":"ADDED"}\n`), /no watch event/],
    ['an event of an unknown type', (r) => r.end(`${line('a')}${line('b').replace('ADDED', 'X')}`), /unknown type X/],
    ['an ERROR that is no Status', (r) => r.end(`${line('a')}{"type":"ERROR","object":5}\n`), /not a Status/],
    ['an ERROR without an object', (r) => r.end(`${line('a')}{"type":"ERROR"}\n`), /not a Status/],
  ] as [string, (response: ServerResponse) => void, RegExp][]) {
    test(`${what} gives what came before it, and fails`, async () => {
      await withServer(send, async (client) => {
        const followed = await follow(client);
        assert.deepEqual(followed.names, ['a']);
        assert.match(followed.failure ?? 'no failure', failure);
      });
    });
  }

  test('a line in many small pieces takes them together', async () => {
    const long = line('ü'.repeat(100_000));
    const pieces = (response: ServerResponse) => {
      const bytes = Buffer.from(long);
      for (let i = 0; i < bytes.length; i += 1_001) response.write(bytes.subarray(i, i + 1_001));
      response.end();
    };
    await withServer(pieces, async (client) => {
      assert.deepEqual(await follow(client), { names: ['ü'.repeat(100_000)], failure: undefined });
    });
  });
});

describe('a list whose server', () => {
  const list = (client: Client) => client.list(ConfigMapKind);

  test('continues with itself fails', async () => {
    const answer = (response: ServerResponse) =>
      response.end(JSON.stringify({ metadata: { resourceVersion: '1', continue: 'x' }, items: [] }));
    await withServer(answer, async (client) => assert.rejects(list(client), /continues with itself/));
  });

  test('sends no list fails', async () => {
    for (const body of ['null', '{}', '[]', '5']) {
      const answer = (response: ServerResponse) => response.end(body);
      await withServer(answer, async (client) => assert.rejects(list(client), /is no list$/));
    }
  });
});
