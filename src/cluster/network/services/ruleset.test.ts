import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCidr } from '../cidr.ts';
import { nft } from '../commands.ts';
import type { NetworkPlan } from '../plan.ts';
import { inOwnNetwork } from '../testing/own-network.ts';
import { shell } from '../testing/test-platform.ts';
import { rulesOf } from './rules.ts';
import { Ruleset, serviceTable } from './ruleset.ts';
import type { ServedPort, Target } from './service-ports.ts';

const [clusterRange, podRange, serviceRange] = ['10.244.0.0/16', '10.244.0.0/24', '10.96.0.0/16'].map((text) =>
  parseCidr(text),
);
assert.ok(clusterRange && podRange && serviceRange);
const plan: NetworkPlan = {
  ...{ id: '0a1b2c', folder: '', clusterRange, podRange, serviceRange },
  ...{ gatewayAddress: '10.244.0.1', apiAddress: '10.96.0.1', dnsAddress: '10.96.0.10' },
};

/** What the kernel has, whatever the order in which it says so. */
const table = () =>
  shell(`nft -s list table ip ${serviceTable(plan)}`)
    .split(/[\n,]/)
    .map((part) => part.replace(/elements = \{|[{}]/g, '').trim())
    .filter((part) => part !== '')
    .sort();

const target: fc.Arbitrary<Target> = fc.record({
  address: fc.constantFrom('10.244.0.2', '10.244.0.3', '10.244.0.4', '127.0.0.1', '192.0.2.9'),
  port: fc.constantFrom(80, 8080),
});

const served = (i: number): fc.Arbitrary<ServedPort> =>
  fc
    .record({
      protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const),
      nodePort: fc.option(fc.constantFrom(30_001, 30_002), { nil: undefined }),
      externalIps: fc.subarray(['203.0.113.1', '203.0.113.2']),
      sources: fc.option(
        fc.constant({ ips: ['203.0.113.2'], ranges: ['198.51.100.0/24', '198.51.100.128/25', '10.0.0.0/8'] }),
        { nil: undefined },
      ),
      isInsideLocal: fc.boolean(),
      isOutsideLocal: fc.boolean(),
      affinitySeconds: fc.option(fc.constantFrom(10, 10_800), { nil: undefined }),
      endpoints: fc.uniqueArray(target, { maxLength: 4, selector: ({ address, port }) => `${address}:${port}` }),
      localCount: fc.nat(4),
    })
    .map(({ nodePort, sources, affinitySeconds, localCount, ...rest }) => ({
      ...rest,
      ...(nodePort !== undefined && { nodePort }),
      ...(sources !== undefined && { sources }),
      ...(affinitySeconds !== undefined && { affinitySeconds }),
      name: `default/web-${i}/${rest.protocol}/http`,
      clusterIp: `10.96.0.${20 + i}`,
      port: 80,
      localEndpoints: rest.endpoints.slice(0, localCount),
    }));

/** A Service that is written, anew or over another, or one that goes. */
const change = fc.nat(3).chain((i) => fc.tuple(fc.constant(i), fc.option(served(i), { nil: undefined })));

inOwnNetwork(import.meta.url, () => {
  test('change by change the kernel comes to what it would have had of the whole at once', async () => {
    const changes = fc.array(fc.array(change, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(changes, async (batches) => {
        const ruleset = new Ruleset(plan);
        await nft(ruleset.whole());
        ruleset.done('whole');
        for (const batch of batches) {
          for (const [i, port] of batch) ruleset.set(`default/web-${i}`, port && rulesOf([port], clusterRange));
          const transaction = ruleset.transaction();
          if (transaction !== undefined) await nft(transaction);
          ruleset.done('transaction');
        }
        const piecemeal = table();
        await nft(ruleset.whole());
        assert.deepEqual(piecemeal, table());
      }),
      { numRuns: 40 },
    );
    shell(`nft delete table ip ${serviceTable(plan)}`);
  });
});
