import assert from 'node:assert/strict';
import { test } from 'node:test';
import { obstacleToForwarding } from './forwarding.ts';
import { inOwnNetwork } from './testing/own-network.ts';
import { shell, testPlatform, testPod } from './testing/test-platform.ts';

inOwnNetwork(import.meta.url, () => {
  test('a firewall that drops what pods send is named, and the remedy lets them through', async (t) => {
    const here = testPlatform(t);
    const [a, b] = [await testPod(t, here, 'a'), await testPod(t, here, 'b')];
    assert.equal(await obstacleToForwarding(), undefined);
    shell(`nft 'table ip filter { chain FORWARD { type filter hook forward priority filter; policy drop; }; }'`);
    await assert.rejects(a.ask(b.ip, 80), { message: 'no answer' });
    const obstacle = await obstacleToForwarding();
    assert.match(obstacle?.what ?? '', /policy DROP/);
    shell(obstacle?.remedy.replace(/^[^:]*: /, '') ?? '');
    assert.equal(await obstacleToForwarding(), undefined);
    assert.match(await a.ask(b.ip, 80), /^b /);
  });
});
