import { forbidden, notFound } from '../../api/status.ts';
import type { Machinery } from './machinery.ts';
import type { Target } from './request-info.ts';

const namespacesTable = '/namespaces';

/** 404 when the target's namespace is missing, 403 when it is going away: nothing new is created in it. */
export function requireLivingNamespace({ store }: Machinery, target: Target, name: string): void {
  const { resource, namespace } = target;
  if (!resource.kind.isNamespaced || namespace === undefined) return;
  const stored = store.latest(store.table(namespacesTable), namespace);
  if (!stored) throw notFound({ group: '', plural: 'namespaces', kind: 'Namespace' }, namespace);
  if (stored.object.metadata.deletionTimestamp === undefined) return;
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
  throw forbidden(resource.kind, name, why, {
    causes: [
      {
        reason: 'NamespaceTerminating',
        message: `namespace ${namespace} is being terminated`,
        field: 'metadata.namespace',
      },
    ],
  });
}
