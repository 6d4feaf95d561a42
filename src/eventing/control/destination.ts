import { type CoreService, CoreServiceKind } from '../../api/core/service.ts';
import { BrokerKind, isOurBroker } from '../../api/eventing/broker.ts';
import type { Addressable, Destination, KReference } from '../../api/eventing/destination.ts';
import { httpUrl } from '../../api/eventing/destination.ts';
import { type KindReference, referenceTo } from '../../api/kind.ts';
import type { Key, KubeObject } from '../../api/meta.ts';
import { clusterDomain } from '../../api/names.ts';
import type { ConditionManager } from '../../kube/conditions.ts';
import { setOrDrop } from '../../lib/set-or-drop.ts';

export interface ControlOptions {
  /** The broker's base URL, for example `http://127.0.0.1:8081`. */
  ingressUrl: string;
}

/** What resolving needs: where brokers are, and who knows the objects. */
export interface Resolver {
  /** A reconcile's `look`, which has it called again when what was looked at changes; or just `getIfServed`. */
  look(reference: KindReference, key: Key): Promise<KubeObject | undefined>;
  /** The broker's base URL; `/<namespace>/<name>` follows. */
  ingressUrl: string;
}

export interface ResolvedAddress {
  uri: string;
  ca?: string;
}

export type Resolution = { is: 'resolved'; address: ResolvedAddress } | { is: 'not'; reason: string; message: string };

/**
 * The URL of a destination of an object in `namespace` (Knative's rules): a core Service is at its DNS name, anything
 * else at its `status.address.url`; a `uri` beside a `ref` is resolved against that.
 */
export async function resolveDestination(
  destination: Destination,
  namespace: string,
  resolver: Resolver,
): Promise<Resolution> {
  const { ref, uri, CACerts } = destination;
  if (!ref) return absolute(uri ?? '', CACerts);
  const base = await resolveReference(ref, namespace, resolver);
  if (base.is === 'not') return base;
  const ca = CACerts ?? base.address.ca;
  if (uri === undefined) return resolved(base.address.uri, ca);
  const joined = URL.parse(uri, base.address.uri);
  return joined ? resolved(joined.href, ca) : not('InvalidUri', `${JSON.stringify(uri)} is not a relative URI`);
}

/** Makes the condition `type` say whether the destination was found, and returns where it is. */
export async function reportDestination<C extends string>(
  { object, conditions, resolver }: { object: KubeObject; conditions: ConditionManager<C>; resolver: Resolver },
  type: C,
  destination: Destination,
): Promise<ResolvedAddress | undefined> {
  const found = await resolveDestination(destination, object.metadata.namespace ?? '', resolver);
  if (found.is === 'not') {
    conditions.markFalse(type, found.reason, found.message);
    return undefined;
  }
  conditions.markTrue(type);
  return found.address;
}

/** What Knative reports where senders prove who they are. */
export function reportIdentity<C extends string>(run: {
  conditions: ConditionManager<C | 'OIDCIdentityCreated'>;
}): void {
  const why = 'no identity is needed: authentication is not in use';
  run.conditions.markTrue('OIDCIdentityCreated', 'AuthOIDCDisabled', why);
}

interface DeadLetterSinkStatus {
  deadLetterSinkUri?: string;
  deadLetterSinkCACerts?: string;
}

/** The same of the dead letter sink of a broker or trigger, which need not have one. */
export async function reportDeadLetterSink<C extends string>(
  run: { object: KubeObject; status: DeadLetterSinkStatus; conditions: ConditionManager<C>; resolver: Resolver },
  type: C & 'DeadLetterSinkResolved',
  sink: Destination | undefined,
): Promise<void> {
  const address = sink && (await reportDestination(run, type, sink));
  if (!sink) run.conditions.markTrue(type, 'DeadLetterSinkNotConfigured', 'no dead letter sink is configured');
  setOrDrop(run.status, 'deadLetterSinkUri', address?.uri);
  setOrDrop(run.status, 'deadLetterSinkCACerts', address?.ca);
}

/** Where the ingress takes the events of a broker. */
export const brokerUrl = (ingressUrl: string, key: Key): string => `${ingressUrl}/${key.namespace}/${key.name}`;

/** The object that a reference of an object in `namespace` means; undefined when there is none, or no such kind. */
export function lookUp(
  reference: KReference,
  namespace: string,
  { look }: Pick<Resolver, 'look'>,
): Promise<KubeObject | undefined> {
  return look(referenceTo(reference), { namespace: reference.namespace ?? namespace, name: reference.name });
}

async function resolveReference(reference: KReference, from: string, resolver: Resolver): Promise<Resolution> {
  const namespace = reference.namespace ?? from;
  const name = `${reference.kind} "${reference.name}" in namespace "${namespace}"`;
  const object = await lookUp(reference, namespace, resolver);
  if (!object) return not('NotFound', `${name} (${reference.apiVersion}) does not exist`);
  if (isCoreService(object)) return resolved(`http://${reference.name}.${namespace}.${clusterDomain}`, undefined);
  if (object.kind === BrokerKind.kind && referenceTo(object).group === BrokerKind.group && isOurBroker(object)) {
    return resolved(brokerUrl(resolver.ingressUrl, { namespace, name: reference.name }), undefined);
  }
  const status: Addressable = 'status' in object ? ((object.status ?? {}) as Addressable) : {};
  const address = status.address?.url ? status.address : status.addresses?.[0];
  if (!address?.url) return not('NotAddressable', `${name} has no address: status.address.url is not set (yet)`);
  return resolved(address.url, address.CACerts);
}

function isCoreService(object: KubeObject): object is CoreService {
  return object.kind === CoreServiceKind.kind && object.apiVersion === 'v1';
}

function absolute(uri: string, ca: string | undefined): Resolution {
  return httpUrl(uri) ? resolved(uri, ca) : not('InvalidUri', `${JSON.stringify(uri)} is not an http URL`);
}

function resolved(uri: string, ca: string | undefined): Resolution {
  return { is: 'resolved', address: ca === undefined ? { uri } : { uri, ca } };
}

const not = (reason: string, message: string): Resolution => ({ is: 'not', reason, message });
