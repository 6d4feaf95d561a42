import { CoreServiceKind } from '../../api/core/service.ts';
import { EndpointSliceKind } from '../../api/discovery/endpoint-slice.ts';
import type { Kind } from '../../api/kind.ts';
import { type KubeObject, keyOf, keyText, parseKeyText } from '../../api/meta.ts';
import { IngressKind, ingressClassAnnotation } from '../../api/networking/ingress.ts';
import { type Revision, RevisionKind } from '../../api/serving/revision.ts';
import type { Client } from '../../kube/client.ts';
import { Informer } from '../../kube/informer.ts';
import { type Clock, sleep } from '../../lib/clock.ts';
import type { Logger } from '../../observe/log.ts';
import { serviceName } from '../../serving/revision/resources/names.ts';
import type { RouteChange, RouteSource } from './change.ts';
import { limitsOf } from './revision-limits.ts';
import { SliceIndex } from './slice-index.ts';
import { RouteTable } from './table.ts';

/** How many Ingresses and Services are looked at in one turn of the event loop: requests come in between. */
const changesPerTurn = 32;
/** When all else is here, Revisions are waited for this long. */
const revisionsWaitMs = 1_000;

export interface InformerSource extends RouteSource {
  /** Up to which version all Ingresses are told; undefined before all are for the first time. */
  servedVersion(): string | undefined;
}

/**
 * Routes from a Kubernetes API, by watching. While the API is away what was known last stands. Changes that come in one
 * turn of the event loop are told together; `onServed` is called when all routes are, as of `servedVersion`.
 */
export function informerSource(client: Client, clock: Clock, log: Logger, onServed = () => {}): InformerSource {
  const informerOf = <T extends KubeObject>(kind: Kind<T>) => new Informer(client, kind, { clock, log });
  const ingresses = informerOf(IngressKind);
  const services = informerOf(CoreServiceKind);
  const slices = informerOf(EndpointSliceKind);
  const revisions = informerOf(RevisionKind);
  const informers = [ingresses, services, slices, revisions];
  const sliceIndex = new SliceIndex();
  const table = new RouteTable(
    {
      ingress: (key) => ingresses.get(parseKeyText(key)),
      service: (key) => services.get(parseKeyText(key)),
      slices: (key) => sliceIndex.of(key),
      limits: (service, problems) => limitsOf(service, (key) => revisions.get(key), problems),
    },
    ({ object, why }) =>
      log.warn({ problem: `${object}: ${why}` }, 'this was left out of the routes: correct the object'),
  );
  /** Once all is told that there was at the start, until it is stopped. */
  let tell: ((change: RouteChange) => void) | undefined;
  let isScheduled = false;
  let isToBeServed = false;
  let served: string | undefined;

  const servedVersion = () => {
    if (tell !== undefined && table.isSettled) served = ingresses.resourceVersion ?? served;
    return served;
  };
  const turn = () => {
    isScheduled = false;
    if (tell === undefined) return;
    try {
      tell(table.take(changesPerTurn));
    } catch (error) {
      // Called by the event loop, where a throw would end the process; the next change is told all the same.
      log.error({ err: error }, 'making the routes failed: those of before stand');
    }
    schedule();
    if (!isToBeServed || !table.isSettled) return;
    isToBeServed = false;
    onServed();
  };
  const schedule = () => {
    if (isScheduled || tell === undefined || table.isSettled) return;
    isScheduled = true;
    setImmediate(turn);
  };

  ingresses.onChange((type, ingress, old) => {
    if (type !== 'DELETED' && isSameSpec(ingress, old)) return;
    table.ingressChanged(keyText(keyOf(ingress)));
    isToBeServed = true;
    schedule();
  });
  const serviceChanged = (key: string) => {
    table.serviceChanged(key);
    schedule();
  };
  services.onChange((_, service) => serviceChanged(keyText(keyOf(service))));
  slices.onChange((type, slice, old) => {
    for (const service of sliceIndex.replace(old, type === 'DELETED' ? undefined : slice)) serviceChanged(service);
  });
  revisions.onChange((type, revision, old) => {
    if (type !== 'DELETED' && isSameSpec(revision, old)) return;
    serviceChanged(keyText({ ...keyOf(revision), name: serviceName(revision) }));
  });

  return {
    servedVersion,
    async start(onChange: (change: RouteChange) => void): Promise<void> {
      for (const informer of informers) informer.start();
      await Promise.all([ingresses.synced, services.synced, slices.synced]);
      await syncedOrAbsent(revisions, clock);
      while (!table.isSettled) {
        onChange(table.take(changesPerTurn));
        await new Promise((resolve) => setImmediate(resolve));
      }
      tell = onChange;
      isToBeServed = false;
      onServed();
    },
    async stop(): Promise<void> {
      tell = undefined;
      await Promise.all(informers.map((informer) => informer.stop()));
    },
  };
}

/** Revisions add limits where there are any: a cluster without Serving does not know the kind. */
async function syncedOrAbsent({ synced }: Informer<Revision>, clock: Clock): Promise<void> {
  const enough = new AbortController();
  const patience = sleep(clock, revisionsWaitMs, enough.signal).catch(() => {}); // They were faster.
  await Promise.race([synced, patience]);
  enough.abort();
}

/** Only the status has changed, which is written often and changes no route. */
function isSameSpec({ metadata }: KubeObject, old: KubeObject | undefined): boolean {
  return (
    metadata.generation !== undefined &&
    metadata.generation === old?.metadata.generation &&
    metadata.annotations?.[ingressClassAnnotation] === old.metadata.annotations?.[ingressClassAnnotation]
  );
}
