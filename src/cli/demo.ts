import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PodKind } from '../api/core/pod.ts';
import type { Key } from '../api/meta.ts';
import type { Service } from '../api/serving/service.ts';
import { readSome } from '../lib/http-body.ts';
import { HttpClient, targetOf } from '../lib/http-client.ts';
import type { Config } from '../server/config.ts';
import { applyEntry, readManifest, uploadSources } from './manifest.ts';
import { type CommonOptions, type RunningPlatform, runningPlatform } from './platform.ts';
import { followService } from './progress.ts';
import { registryOf } from './registry.ts';
import { podsOfService, readServiceLogs } from './service-logs.ts';
import { bold, dim, duration, green, print } from './terminal.ts';
import { printAddresses, startInForeground } from './up.ts';

const namespace = 'default';
const manifest = fileURLToPath(new URL('../../examples/orders/app.yaml', import.meta.url));
/** A first build installs dependencies from the network. */
const buildTimeoutMs = 300_000;
const stepTimeoutMs = 60_000;
const orderBytesMax = 64 * 1024;

const order = { customer: 'Ada', items: [{ sku: 'tea-1', quantity: 2, priceCents: 450 }] };

/** Tells the story's steps, each with how long it took. */
interface Teller {
  title(text: string): void;
  line(tookMs: number | undefined, text: string): void;
  /** Ctrl-C was pressed: what happens from then on is no step of the story. */
  isOver(): boolean;
}

/** `kittiwake demo` (`npm start`): the platform, and examples/orders run on it, each step with its duration. */
export async function demo(common: CommonOptions, config: Config): Promise<void> {
  tellerUntil().title('platform');
  const platform = await startInForeground(config);
  const teller = tellerUntil(platform.stopping);
  printAddresses(platform.addresses, platform.readyMs);
  try {
    await tellStory(runningPlatform(common), config, teller);
  } catch (error) {
    if (!teller.isOver()) throw error; // Else it failed because everything stops, as asked.
  }
}

async function tellStory(running: RunningPlatform, config: Config, teller: Teller): Promise<void> {
  const { title, line } = teller;
  title('source → image digest in the registry → revision');
  const buildingMs = performance.now();
  const services = await applyExample(running, teller);
  for (const service of services) await showBuild(running, service, buildingMs, teller);

  title('first request from zero');
  line(undefined, 'waiting until nothing runs …');
  await Promise.all(services.map((key) => untilZero(running, key)));
  const booked = bookedOrders(running);
  const { id, tookMs } = await placeOrder(running);
  line(tookMs, `POST ${hostOf('orders', running)}/orders → 202, order ${bold(id)} placed, its event on disk`);

  title('event to its triggers');
  const bookedMs = await booked.until(id);
  line(
    bookedMs,
    `order.placed → ${bold('receipts')} (from zero) → receipt.issued → ${bold('ledger')} (from zero): booked`,
  );

  title('back to zero');
  const startedMs = performance.now();
  await Promise.all(
    services.map(async (key) => {
      await untilZero(running, key);
      line(performance.now() - startedMs, `${key.name} has no pod left`);
    }),
  );

  if (teller.isOver()) return;
  print(`\n${green('That was all of app.yaml.')} The platform stays up; try for yourself:`);
  print(`  curl http://${hostOf('orders', running)}/orders -d '${JSON.stringify(order)}'`);
  print(`  bin/kittiwake logs ledger --follow`);
  print(`  kubectl --kubeconfig ${join(config.dataDir, 'kubeconfig')} get ksvc,revisions,triggers`);
  print(dim('Ctrl-C stops everything; the next start resumes from here.'));
}

async function applyExample({ addresses, client }: RunningPlatform, { line }: Teller): Promise<Required<Key>[]> {
  const startedMs = performance.now();
  const registry = registryOf(addresses);
  const entries = await uploadSources(await readManifest(manifest, namespace, client), registry, (name, digest) =>
    line(performance.now() - startedMs, `${name}: source uploaded ${dim(digest.slice(0, 19))}`),
  );
  for (const entry of entries) await applyEntry(client, entry);
  line(performance.now() - startedMs, `${entries.length} objects of app.yaml applied`);
  return entries
    .filter(({ object }) => object.kind === 'Service' && (object as Service).spec.build !== undefined)
    .map(({ object }) => ({ namespace, name: object.metadata.name }));
}

async function showBuild(
  { client }: RunningPlatform,
  key: Required<Key>,
  startedMs: number,
  { line }: Teller,
): Promise<void> {
  await followService(
    client,
    key,
    (step) => {
      const tookMs = performance.now() - startedMs;
      if (step.type === 'build-step') line(tookMs, `${key.name}: ${step.message}`);
      if (step.type === 'built') line(tookMs, `${key.name}: image in the registry ${dim(step.digest.slice(0, 19))}`);
      if (step.type === 'ready') line(tookMs, `${key.name}: revision ${bold(step.revision)} is ready`);
      if (step.type === 'build-failed') print(step.log);
    },
    AbortSignal.timeout(buildTimeoutMs),
  );
}

/** Resolves when no pod of the service exists any more. */
async function untilZero({ client }: RunningPlatform, { namespace, name }: Required<Key>): Promise<void> {
  const ended = new AbortController();
  const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(stepTimeoutMs)]);
  const pods = new Set<string>();
  let isListed = false;
  const labelSelector = podsOfService(name);
  for await (const event of client.watch(PodKind, { namespace, labelSelector, signal })) {
    if (event.type === 'BOOKMARK') isListed ||= event.isInitialEnd;
    else if (event.type === 'DELETED') pods.delete(event.object.metadata.name);
    else pods.add(event.object.metadata.name);
    if (isListed && pods.size === 0) return ended.abort();
  }
  throw new Error(`${name} has not gone back to zero within ${stepTimeoutMs / 1000} s: pods ${[...pods].join(', ')}`);
}

/** Listens to the ledger's log from now on, so that the moment an order is booked can be told. */
function bookedOrders(platform: RunningPlatform): { until(orderId: string): Promise<number> } {
  const startedMs = performance.now();
  const seen = new Map<string, number>();
  let wake = () => {};
  const ended = new AbortController();
  const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(stepTimeoutMs)]);
  const onLine = ({ text }: { text: string }) => {
    const id = /booked .* for order ([\w-]+)/.exec(text)?.[1];
    if (id !== undefined) seen.set(id, performance.now() - startedMs);
    wake();
  };
  const reading = readServiceLogs(platform, { namespace, name: 'ledger' }, { follow: true }, onLine, signal);
  reading.catch(() => {}); // It may fail before anybody waits for it; who does gets the failure.
  return {
    async until(orderId) {
      for (;;) {
        const atMs = seen.get(orderId);
        if (atMs !== undefined) {
          ended.abort();
          return atMs;
        }
        const unbooked = reading.then(() => {
          throw new Error(
            `the ledger has not booked order ${orderId} within ${stepTimeoutMs / 1000} s: see 'kittiwake logs ledger'`,
          );
        });
        await Promise.race([
          unbooked,
          new Promise<void>((resolve) => {
            wake = resolve;
          }),
        ]);
      }
    },
  };
}

async function placeOrder({ addresses }: RunningPlatform): Promise<{ id: string; tookMs: number }> {
  const startedMs = performance.now();
  const authority = `orders.${namespace}.${addresses.domain}`;
  const response = await new HttpClient().send({
    method: 'POST',
    target: { ...targetOf(`${addresses.gatewayUrl}/orders`), authority },
    headers: ['content-type', 'application/json'],
    body: Buffer.from(JSON.stringify(order)),
    ...{ isRepeatable: false, wholeMs: stepTimeoutMs },
  });
  const body = await readSome(response, orderBytesMax);
  if (response.statusCode !== 202) throw new Error(`orders answered ${response.statusCode}: ${body}`);
  return { id: JSON.parse(body).id, tookMs: performance.now() - startedMs };
}

const hostOf = (name: string, { addresses: { domain, gatewayUrl } }: RunningPlatform) =>
  `${name}.${namespace}.${domain}:${targetOf(gatewayUrl).port}`;

function tellerUntil(stopping?: AbortSignal): Teller {
  const isOver = () => stopping?.aborted ?? false;
  return {
    title(text) {
      if (!isOver()) print(`\n${bold(text)}`);
    },
    line(tookMs, text) {
      if (!isOver()) print(`${dim((tookMs === undefined ? '' : duration(tookMs)).padStart(9))}  ${text}`);
    },
    isOver,
  };
}
