import assert from 'node:assert/strict';
import { test } from 'node:test';
import { discover } from './discovery.ts';
import type { Transport } from './transport.ts';

for (const answer of [
  null,
  { items: { a: 1 } },
  { items: [null, 5] },
  { items: [{ versions: [{ resources: [null] }] }] },
]) {
  test(`what answers ${JSON.stringify(answer)} instead of its kinds is told in words`, async () => {
    const transport = { json: async () => answer } as unknown as Transport;
    await assert.rejects(discover(transport), {
      message: 'the answer to GET /api does not tell the kinds of a server',
    });
  });
}

test('what has a kind and no verbs is no kind of object', async () => {
  const answer = { items: [{ versions: [{ resources: [{ responseKind: { kind: 'A' } }] }] }] };
  assert.deepEqual(await discover({ json: async () => answer } as unknown as Transport), []);
});
