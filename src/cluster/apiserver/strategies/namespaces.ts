import { type Namespace, NamespaceKind } from '../../../api/core/namespace.ts';
import { forbidden } from '../../../api/status.ts';
import { table } from '../http/table/column.ts';
import type { Strategy } from '../strategy.ts';

/** Without these nothing works. */
const immortal = ['default', 'kube-system', 'kube-public'];

export const namespaces: Strategy<Namespace> = {
  kind: NamespaceKind,
  selectableFields: { 'status.phase': '' },
  isNamespace: true,
  returnsDeleted: true,
  columns: table<Namespace>({
    Status: ({ metadata, status }) => (metadata.deletionTimestamp ? 'Terminating' : status?.phase),
  }),
  prepareForCreate(namespace) {
    namespace.spec = { finalizers: ['kubernetes'] };
    namespace.status = { phase: 'Active' };
  },
  prepareForUpdate(namespace, old) {
    if (old.spec) namespace.spec = structuredClone(old.spec);
    else delete namespace.spec;
  },
  prepareForDelete(namespace) {
    const { name } = namespace.metadata;
    if (immortal.includes(name)) {
      throw forbidden(NamespaceKind, name, 'this namespace may not be deleted');
    }
    namespace.status = { ...namespace.status, phase: 'Terminating' };
  },
  finalizersOf: ({ spec }) => spec?.finalizers ?? [],
  subresources: { finalize: { type: 'field', field: 'spec', verbs: ['update'] } },
};
