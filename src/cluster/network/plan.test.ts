import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../lib/testing/temporary-folder.ts';
import { cidrText, parseCidr } from './cidr.ts';
import { planNetwork, type Route, releaseRanges } from './plan.ts';
import { parseRoutes } from './routes.ts';

const route = (range: string, through = 'eth0'): Route => {
  const parsed = parseCidr(range);
  assert.ok(parsed);
  return { range: parsed, through };
};

test('a platform has the first free ranges, and the same ones again', (t) => {
  const [dataDir, claimsDir] = [temporaryFolder(t), temporaryFolder(t)];
  const options = { dataDir, claimsDir, routes: () => [route('192.168.0.0/16')] };
  const plan = planNetwork(options);
  assert.deepEqual([cidrText(plan.podRange), cidrText(plan.serviceRange)], ['10.244.0.0/24', '10.96.0.0/16']);
  assert.deepEqual([plan.gatewayAddress, plan.apiAddress, plan.dnsAddress], ['10.244.0.1', '10.96.0.1', '10.96.0.10']);
  assert.match(plan.id, /^[0-9a-f]{6}$/);
  assert.deepEqual(planNetwork(options), plan);
  releaseRanges(plan, claimsDir);
  assert.deepEqual(readdirSync(claimsDir), []);
});

test('ranges of other platforms are left alone, until their data folder is gone', (t) => {
  const claimsDir = temporaryFolder(t);
  const [one, other, third] = [temporaryFolder(t), temporaryFolder(t), temporaryFolder(t)];
  const planFor = (dataDir: string) => planNetwork({ dataDir, claimsDir, routes: () => [] });
  const first = planFor(one);
  const second = planFor(other);
  assert.deepEqual([cidrText(second.podRange), cidrText(second.serviceRange)], ['10.244.1.0/24', '10.97.0.0/16']);
  assert.notEqual(first.id, second.id);
  rmSync(one, { recursive: true });
  assert.equal(readdirSync(claimsDir).length, 4);
  assert.equal(cidrText(planFor(third).podRange), '10.244.0.0/24');
  rmSync(other, { recursive: true });
  releaseRanges(second, claimsDir);
  assert.deepEqual(readdirSync(claimsDir).sort(), ['10.244.0.0-24', '10.96.0.0-16']);
});

test('a range that the machine has a route for is left alone, but for wider routes and those of its own', (t) => {
  const [dataDir, claimsDir] = [temporaryFolder(t), temporaryFolder(t)];
  const routes = [route('10.0.0.0/8', 'tun0'), route('10.244.0.0/23', 'docker0'), route('10.96.4.0/24', 'wg0')];
  const plan = planNetwork({ dataDir, claimsDir, routes: () => routes });
  assert.deepEqual([cidrText(plan.podRange), cidrText(plan.serviceRange)], ['10.244.2.0/24', '10.97.0.0/16']);
  releaseRanges(plan, claimsDir);
  const own = [route('10.244.2.0/24', `kw${plan.id}-0002`), route('10.97.0.0/16', `kw-${plan.id}`)];
  const again = planNetwork({ dataDir, claimsDir, routes: () => [...routes, ...own] });
  assert.deepEqual(again, plan);
});

test('Services keep their range: when another has taken it, that is said', (t) => {
  const [dataDir, claimsDir] = [temporaryFolder(t), temporaryFolder(t)];
  releaseRanges(planNetwork({ dataDir, claimsDir, routes: () => [] }), claimsDir);
  const other = temporaryFolder(t);
  planNetwork({ dataDir: other, claimsDir, routes: () => [] });
  assert.throws(() => planNetwork({ dataDir, claimsDir, routes: () => [] }), {
    code: 'ADDRESS_RANGE_TAKEN',
    message: `the service range 10.96.0.0/16 is taken by the platform of ${other}: stop that, or choose another range`,
  });
});

test('a whole range that is taken, and one that is none, are refused with the reason', (t) => {
  const [dataDir, claimsDir] = [temporaryFolder(t), temporaryFolder(t)];
  const plan = (clusterRange: string, routes: Route[] = []) =>
    planNetwork({ dataDir, claimsDir, clusterRange, routes: () => routes });
  assert.throws(() => plan('10.9.0.0/24', [route('10.9.0.128/25', 'vpn0')]), {
    code: 'ADDRESS_RANGE_TAKEN',
    message:
      'the pod range 10.9.0.0/24 is taken by the route to 10.9.0.128/25 through vpn0: ' +
      'stop that, or choose another range',
  });
  for (const range of ['10.9.0.0/25', '10.0.0.0/7', '10.9.0.1/16', 'fd00::/64', '']) {
    assert.throws(() => plan(range), { code: 'ADDRESS_RANGE_INVALID' }, range);
  }
});

test('files that are no claims are nobody’s', (t) => {
  const [dataDir, claimsDir] = [temporaryFolder(t), temporaryFolder(t)];
  writeFileSync(join(claimsDir, '10.244.0.0-24'), '{');
  writeFileSync(join(claimsDir, 'x'), '{}');
  mkdirSync(join(claimsDir, 'folder'));
  const plan = planNetwork({ dataDir, claimsDir, routes: () => [] });
  assert.equal(cidrText(plan.podRange), '10.244.0.0/24');
});

test('the kernel’s table of routes is read', () => {
  const header = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n';
  const table =
    `${header}eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n` +
    'eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n' +
    '*\t0000F40A\t00000000\t0200\t0\t0\t0\t00FFFFFF\t0\t0\t0\n';
  const found = parseRoutes(table).map(({ range, through }) => `${cidrText(range)} ${through}`);
  assert.deepEqual(found, ['0.0.0.0/0 eth0', '192.0.2.0/24 eth0', '10.244.0.0/24 *']);
});
