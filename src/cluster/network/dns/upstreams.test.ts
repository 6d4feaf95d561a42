import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { AnswerCache } from './cache.ts';
import { Upstreams } from './upstreams.ts';

function upstreams(t: TestContext, text: string) {
  const folder = mkdtempSync(join(tmpdir(), 'kittiwake-dns-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'resolv.conf');
  writeFileSync(file, text);
  const clock = new VirtualClock();
  const all = new Upstreams({ file, ownAddresses: ['10.96.0.10', 'fd00::1'], clock, log: silentLogger });
  return { all, clock, file, addresses: () => all.candidates().map(({ address }) => address) };
}

test('a server that does not answer is left alone for a while, then tried by one question', async (t) => {
  const { addresses, all, clock } = upstreams(t, 'nameserver 192.0.2.1\nnameserver 192.0.2.2\n');
  const [first] = all.candidates();
  assert.ok(first);
  for (let i = 0; i < 2; i++) all.done(first, false);
  assert.deepEqual(addresses(), ['192.0.2.2']);
  await clock.advance(3_000);
  assert.deepEqual(addresses(), ['192.0.2.2', '192.0.2.1'], 'after those that answer');
  all.begin(first);
  assert.deepEqual(addresses(), ['192.0.2.2'], 'one at a time');
  all.done(first, false);
  assert.deepEqual(addresses(), ['192.0.2.2']);
  await clock.advance(3_000);
  all.begin(first);
  all.done(first, true);
  assert.deepEqual(addresses(), ['192.0.2.1', '192.0.2.2']);
});

test('what names no server that could be asked is left out, this one above all', async (t) => {
  const text =
    'nameserver 10.96.0.10\nnameserver FD00:0::1\nnameserver example.com\nnameserver\nnameserver 192.0.2.1\n';
  const { addresses, clock, file } = upstreams(t, `${text}${text}`);
  assert.deepEqual(addresses(), ['192.0.2.1']);
  rmSync(file);
  await clock.advance(2_000);
  assert.deepEqual(addresses(), ['192.0.2.1'], 'a file that is away for a moment changes nothing');
  writeFileSync(file, 'search example.com\n');
  await clock.advance(2_000);
  assert.deepEqual(addresses(), []);
});

test('the cache is bounded, and forgets first what was not asked for longest', async () => {
  const clock = new VirtualClock();
  const cache = new AnswerCache(clock);
  const answer = (bytes: number) => ({ bytes: Buffer.alloc(bytes), records: [] });
  for (let i = 0; i < 5_000; i++) {
    cache.set(`n${i}`, answer(100), 30);
    cache.get('n0');
  }
  assert.equal(cache.size, 4_096);
  assert.ok(cache.get('n0') && cache.get('n4999') && !cache.get('n1'));
  for (let i = 0; i < 500; i++) cache.set(`large${i}`, answer(60_000), 30);
  assert.ok(cache.size < 140, `${cache.size} of 60 kB in 8 MB`);
  await clock.advance(30_000);
  assert.equal(cache.get('large499'), undefined);
});
