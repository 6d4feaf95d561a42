import { CustomResourceDefinitionKind } from '../../../api/apiextensions/custom-resource-definition.ts';
import { type ConfigMap, ConfigMapKind } from '../../../api/core/config-map.ts';
import { type Namespace, NamespaceKind } from '../../../api/core/namespace.ts';
import { ServiceAccountKind } from '../../../api/core/service-account.ts';
import { apiVersionOf } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/meta.ts';
import { isNotFound } from '../../../api/status.ts';
import { ensure } from '../../../kube/ensure.ts';
import type { Controller, ReconcileContext, Requeue } from '../../../kube/reconciler.ts';
import { updateStatus } from '../../../kube/update-status.ts';
import { allKinds } from '../kinds.ts';
import { kubeController } from '../users.ts';
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
    user: kubeController('namespace-controller'),
    kind: NamespaceKind,
    watches: [
      { kind: ServiceAccountKind, keys: (object) => namespaceOf(object, 'default') },
      { kind: ConfigMapKind, keys: (object) => namespaceOf(object, rootCaName) },
      { kind: CustomResourceDefinitionKind, keys: () => [] }, // To have copies of them: for `allKinds`.
    ],
    async reconcile(namespace, context) {
      if (namespace.metadata.deletionTimestamp !== undefined) return await empty(namespace, context);
      await Promise.all([ensureServiceAccount(namespace, context), ensureRootCa(namespace, rootCa, context)]);
    },
  };
}

/** The namespace of what every namespace must have. */
const namespaceOf = ({ metadata: { namespace, name } }: KubeObject, wanted: string) =>
  name === wanted && namespace !== undefined ? [{ name: namespace }] : [];

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
    // What goes calls again; what could not be deleted does not.
    await Promise.all(remains.examples.map(({ kind, key }) => context.look(kind, key)));
    return { requeueAfterMs: retryMs };
  }
  const finalizers = (namespace.spec?.finalizers ?? []).filter((name) => name !== 'kubernetes');
  try {
    await context.client.update(NamespaceKind, { ...namespace, spec: { ...namespace.spec, finalizers } }, 'finalize');
  } catch (error) {
    if (!isNotFound(error)) throw error; // Gone already is as good.
  }
}
