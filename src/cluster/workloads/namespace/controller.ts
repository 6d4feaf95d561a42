import { type ConfigMap, ConfigMapKind } from '../../../api/core/config-map.ts';
import { type Namespace, NamespaceKind } from '../../../api/core/namespace.ts';
import { ServiceAccountKind } from '../../../api/core/service-account.ts';
import { apiVersionOf, type Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/meta.ts';
import { isNotFound } from '../../../api/status.ts';
import { ensure } from '../../../kube/ensure.ts';
import type { Cache, Controller, ReconcileContext, Requeue } from '../../../kube/reconciler.ts';
import { updateStatus } from '../../../kube/update-status.ts';
import { allKinds, ownableKinds } from '../kinds.ts';
import { deleteContents, terminatingConditions } from './contents.ts';

const rootCaName = 'kube-root-ca.crt';
/** Between rounds of emptying a namespace that no event calls for. */
const retryMs = 1_000;

/**
 * Gives each namespace its ServiceAccount `default` and the server's CA, empties a namespace that is being deleted, and
 * then lets it go.
 */
export function namespaceController(rootCa: string): Controller<Namespace> {
  return {
    name: 'namespace',
    kind: NamespaceKind,
    watches: ownableKinds
      .filter((kind) => kind.isNamespaced)
      .map((kind) => ({ kind, keys: (object: KubeObject, cache: Cache) => concerned(kind, object, cache) })),
    async reconcile(namespace, context) {
      if (namespace.metadata.deletionTimestamp !== undefined) return await empty(namespace, context);
      await Promise.all([ensureServiceAccount(namespace, context), ensureRootCa(namespace, rootCa, context)]);
    },
  };
}

/** Everything in a namespace that is being emptied; otherwise only what every namespace must have. */
function concerned(kind: Kind, { metadata }: KubeObject, cache: Cache) {
  const { namespace, name } = metadata;
  if (namespace === undefined) return [];
  const isKept =
    (kind.kind === ServiceAccountKind.kind && name === 'default') ||
    (kind.kind === ConfigMapKind.kind && name === rootCaName);
  const key = { name: namespace };
  return isKept || cache.get(NamespaceKind, key)?.metadata.deletionTimestamp ? [key] : [];
}

async function ensureServiceAccount({ metadata }: Namespace, context: ReconcileContext): Promise<void> {
  const key = { namespace: metadata.name, name: 'default' };
  if (context.cache.get(ServiceAccountKind, key)) return;
  await ensure(context, ServiceAccountKind, {
    apiVersion: apiVersionOf(ServiceAccountKind),
    kind: ServiceAccountKind.kind,
    metadata: key,
  });
}

async function ensureRootCa({ metadata }: Namespace, rootCa: string, context: ReconcileContext): Promise<void> {
  const desired: ConfigMap = {
    apiVersion: apiVersionOf(ConfigMapKind),
    kind: ConfigMapKind.kind,
    metadata: { namespace: metadata.name, name: rootCaName },
    data: { 'ca.crt': rootCa },
  };
  await ensure(context, ConfigMapKind, desired);
}

async function empty(namespace: Namespace, context: ReconcileContext): Promise<Requeue | void> {
  const remains = await deleteContents(namespace.metadata.name, allKinds(context.cache), context);
  const isEmpty = remains.counts.size === 0 && remains.errors.length === 0;
  if (!isEmpty) {
    const conditions = terminatingConditions(namespace, remains, context.clock.now());
    await updateStatus(context, namespace, { ...namespace.status, phase: 'Terminating', conditions });
    // Each object that goes calls again; one of a kind that is not watched, or that could not be deleted, does not.
    return { requeueAfterMs: retryMs };
  }
  const finalizers = (namespace.spec?.finalizers ?? []).filter((name) => name !== 'kubernetes');
  try {
    await context.client.update(NamespaceKind, { ...namespace, spec: { ...namespace.spec, finalizers } }, 'finalize');
  } catch (error) {
    if (!isNotFound(error)) throw error; // Gone already is as good.
  }
}
