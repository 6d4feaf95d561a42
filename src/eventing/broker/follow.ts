import { NamespaceKind } from '../../api/core/namespace.ts';
import { type Broker, BrokerKind } from '../../api/eventing/broker.ts';
import { type Trigger, TriggerKind } from '../../api/eventing/trigger.ts';
import type { Kind } from '../../api/kind.ts';
import { type KubeObject, keyOf, keyText } from '../../api/meta.ts';
import { ApiError } from '../../api/status.ts';
import type { Client, WatchEvent, WatchOptions } from '../../kube/client.ts';
import { Informer } from '../../kube/informer.ts';
import type { Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../observe/log.ts';
import { servingAnnotation, servingError, setAsideAnnotation } from '../status-annotations.ts';
import { type Brokers, brokerName, triggerName } from './brokers.ts';
import { brokerConfigs, type TriggerConfig, triggerConfig } from './config.ts';
import type { Served } from './runtime.ts';

export interface FollowOptions {
  client: Client;
  brokers: Brokers;
  clock: Clock;
  log: Logger;
}

export interface Following {
  /** Looks again at what there is, and at what is served. */
  schedule(): void;
  stop(): Promise<void>;
}

const lookMs = 60_000;
/** More names than this do not get into a status; `kittiwake status` has them all. */
const setAsideShown = 10;

/** Keeps `brokers` as the API server has them, and says in their status what is served. */
export function follow({ client, brokers, clock, log }: FollowOptions): Following {
  const deletions = new Set<string>();
  const telling = telltale(client, (uid) => {
    deletions.add(uid);
    schedule();
  });
  const brokerInformer = new Informer(telling, BrokerKind, { clock, log });
  const triggerInformer = new Informer(telling, TriggerKind, { clock, log });
  const platformOf = platformReader(client);
  let work: Promise<void> = Promise.resolve();
  let isStopped = false;
  let isScheduled = false;
  let isSynced = false;
  let cancelLook: (() => void) | undefined;

  /** One run after the other: what is slow must not put back what changed meanwhile. */
  const schedule = () => {
    if (isScheduled || isStopped || !isSynced) return;
    isScheduled = true;
    setImmediate(() => {
      work = work.then(applyOnce).catch(tryAgain);
    });
  };

  const applyOnce = async () => {
    isScheduled = false;
    if (!isStopped) await apply();
  };

  const tryAgain = (error: unknown) => {
    log.error({ err: error }, 'brokers not changed, trying again');
    clock.after(1000, schedule);
  };

  const apply = async () => {
    const objects = [...brokerInformer.list(), ...triggerInformer.list()];
    for (const { metadata } of objects) if (metadata.deletionTimestamp !== undefined) deletions.add(metadata.uid ?? '');
    const deleted = [...deletions];
    const configs = brokerConfigs(brokerInformer.list());
    const triggers = await triggerConfigs();
    const platform = await platformOf([...configs, ...triggers].map(({ uid }) => uid));
    await brokers.set({ brokers: configs, triggers, platform }, deleted);
    for (const uid of deleted) deletions.delete(uid);
    for (const config of configs) await report(BrokerKind, brokerInformer.get(config), brokers.served(config));
    for (const config of triggers) {
      await report(TriggerKind, triggerInformer.get(config), brokers.subscribed(config));
    }
    lookLater();
  };

  /** One that cannot be understood is served as it was, if it was, and says so; the others are what they are. */
  const triggerConfigs = async () => {
    const configs: TriggerConfig[] = [];
    for (const trigger of triggerInformer.list()) {
      if (trigger.metadata.deletionTimestamp !== undefined) continue;
      try {
        configs.push(triggerConfig(trigger, brokerInformer.get(brokerKey(trigger))));
      } catch (error) {
        const known = brokers.knownTrigger(trigger.metadata.uid);
        if (known) configs.push(known);
        await report(TriggerKind, trigger, { uid: trigger.metadata.uid ?? '', error: messageOf(error) });
      }
    }
    return configs;
  };

  const report = async <T extends Broker | Trigger>(kind: Kind<T>, object: T | undefined, served?: Served) => {
    if (!object || !served) return;
    const annotations = annotationsOf(served);
    const stored = object.status?.annotations ?? {};
    if (Object.entries(annotations).every(([name, value]) => (stored[name] ?? null) === value)) return;
    const patch = { metadata: { uid: object.metadata.uid }, status: { annotations } };
    try {
      await client.patch(kind as Kind<KubeObject>, keyOf(object), { type: 'merge', patch }, 'status');
    } catch (error) {
      log.warn({ object: keyText(keyOf(object)), reason: messageOf(error) }, 'status not written, trying again');
      clock.after(1000, schedule);
    }
  };

  /** While something is absent, asks for everything anew from time to time: what was told may be incomplete. */
  const lookLater = () => {
    if (cancelLook || isStopped || !brokers.hasAbsent) return;
    cancelLook = clock.after(lookMs, () => {
      cancelLook = undefined;
      look()
        .catch((error) => log.warn({ reason: messageOf(error) }, 'what is absent was not looked for'))
        .finally(lookLater);
    });
  };

  const look = async () => {
    const lists = await Promise.all([client.list(BrokerKind), client.list(TriggerKind)]);
    if (!isStopped) await brokers.looked(namesOf(lists[0].items, lists[1].items));
  };

  brokerInformer.onChange(schedule);
  triggerInformer.onChange(schedule);
  brokerInformer.start();
  triggerInformer.start();
  Promise.all([brokerInformer.synced, triggerInformer.synced]).then(() => {
    isSynced = true;
    schedule();
  }, tryAgain);
  return {
    schedule,
    async stop() {
      isStopped = true;
      cancelLook?.();
      await Promise.all([brokerInformer.stop(), triggerInformer.stop()]);
    },
  };
}

/**
 * The same client, which tells of each deletion that the server reports: an informer also takes for deleted what a new
 * list does not show. It tells when the informer has taken it in.
 */
function telltale(client: Client, onDeleted: (uid: string) => void): Pick<Client, 'watch'> {
  async function* watch<T extends KubeObject>(kind: Kind<T>, options: WatchOptions): AsyncGenerator<WatchEvent<T>> {
    for await (const event of client.watch(kind, options)) {
      yield event;
      if (event.type === 'DELETED') onDeleted(event.object.metadata.uid ?? '');
    }
  }
  return { watch };
}

/** Tells which platform it is, asked anew when there are uids that were not there before: it may be another by now. */
function platformReader(client: Client): (uids: readonly string[]) => Promise<string | undefined> {
  let seen: ReadonlySet<string> | undefined;
  let platform: string | undefined;
  return async (uids) => {
    if (!seen || uids.some((uid) => !seen?.has(uid))) platform = await readPlatform(client);
    seen = new Set(uids);
    return platform;
  };
}

async function readPlatform(client: Client): Promise<string | undefined> {
  try {
    return (await client.get(NamespaceKind, { name: 'kube-system' }))?.metadata.uid;
  } catch (error) {
    // Who may not know it does without; whatever else fails is tried again.
    if (error instanceof ApiError && error.code === 403) return undefined;
    throw error;
  }
}

function namesOf(brokers: readonly Broker[], triggers: readonly Trigger[]): Set<string> {
  const names = brokers.map(({ metadata }) => brokerName(`${metadata.namespace}/${metadata.name}`));
  for (const { metadata, spec } of triggers) {
    const { namespace, name } = metadata;
    names.push(triggerName(`${namespace}/${name}`, `${namespace}/${spec.broker}`));
  }
  return new Set(names);
}

/** What the status says of it; null for what it does not say any more. */
function annotationsOf({ uid, error, setAside = [] }: Served): Record<string, string | null> {
  return {
    [servingAnnotation]: error === undefined ? uid : servingError(error),
    [setAsideAnnotation]: setAside.length === 0 ? null : setAside.slice(0, setAsideShown).join('\n'),
  };
}

const brokerKey = (trigger: Trigger) => ({
  namespace: trigger.metadata.namespace ?? '',
  name: trigger.spec.broker ?? '',
});
