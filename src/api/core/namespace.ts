import { fieldInvalid } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';
import { dnsLabelRule, isDnsLabel } from '../names.ts';
import { array, conditionsSchema, object, string } from '../schema.ts';

export interface Namespace extends KubeObject {
  /** `kubernetes` stays until everything in the namespace is gone; taken off through /finalize. */
  spec?: { finalizers?: string[] };
  status?: { phase?: 'Active' | 'Terminating'; conditions?: Condition[] };
}

export const NamespaceKind = defineKind<Namespace>({
  group: '',
  version: 'v1',
  kind: 'Namespace',
  shortNames: ['ns'],
  isNamespaced: false,
  schema: object({
    spec: object({ finalizers: array(string(), { 'x-kubernetes-list-type': 'atomic' }) }),
    status: object({ phase: string({ enum: ['Active', 'Terminating'] }), conditions: conditionsSchema }),
  }),
  columns: [{ name: 'Status', type: 'string', jsonPath: '.status.phase' }],
  setDefaults(namespace) {
    namespace.metadata.labels = {
      ...namespace.metadata.labels,
      'kubernetes.io/metadata.name': namespace.metadata.name,
    };
  },
  validate(namespace) {
    const { name } = namespace.metadata;
    return isDnsLabel(name) ? [] : [fieldInvalid('metadata.name', name, dnsLabelRule)];
  },
});
