import { fieldInvalid } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import { conditionsSchema, type KubeObject } from '../meta.ts';
import { dnsLabelRule, isDnsLabel } from '../names.ts';
import { atomicList, object, string, type ValueOf } from '../schema.ts';

const namespaceSchema = object({
  /** `kubernetes` stays until everything in the namespace is gone; taken off through /finalize. */
  spec: object({ finalizers: atomicList(string()) }),
  status: object({ phase: string({ enum: ['Active', 'Terminating'] }), conditions: conditionsSchema }),
});

export interface Namespace extends KubeObject, ValueOf<typeof namespaceSchema> {}

export const NamespaceKind = defineKind<Namespace>({
  group: '',
  version: 'v1',
  kind: 'Namespace',
  shortNames: ['ns'],
  isNamespaced: false,
  schema: namespaceSchema,
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
