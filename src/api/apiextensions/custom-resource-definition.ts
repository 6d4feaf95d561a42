import { type FieldError, fieldInvalid, fieldRequired } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import { conditionsSchema, type KubeObject } from '../meta.ts';
import { dnsLabel1035Rule, dnsSubdomainRule, isDnsLabel1035, isDnsSubdomain } from '../names.ts';
import { anything, atomicList, boolean, integer, object, type Schema, string, type ValueOf } from '../schema.ts';
import { validateStructuralSchema } from './structural-schema.ts';

const stringList = atomicList(string());

const namesSchema = object(
  {
    plural: string(),
    singular: string(),
    shortNames: stringList,
    kind: string(),
    listKind: string(),
    categories: stringList,
  },
  { required: ['plural', 'kind'] },
);

const columnSchema = object(
  {
    name: string(),
    type: string({ enum: ['string', 'integer', 'number', 'boolean', 'date'] }),
    jsonPath: string(),
    format: string(),
    priority: integer({ format: 'int32' }),
    description: string(),
  },
  { required: ['name', 'type', 'jsonPath'] },
);

/** Structural schemas cannot refer to themselves: `validateStructuralSchema` checks what is inside. */
const anySchema: Schema<Schema> = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

const conversionWebhookSchema = object(
  {
    clientConfig: object({
      url: string(),
      service: object(
        { namespace: string(), name: string(), path: string(), port: integer({ format: 'int32' }) },
        { required: ['namespace', 'name'] },
      ),
      caBundle: string({ format: 'byte' }),
    }),
    conversionReviewVersions: stringList,
  },
  { required: ['conversionReviewVersions'] },
);

const versionSchema = object(
  {
    name: string(),
    served: boolean(),
    storage: boolean(),
    deprecated: boolean(),
    deprecationWarning: string(),
    schema: object({ openAPIV3Schema: anySchema }),
    subresources: object({
      status: anything(),
      scale: object(
        { specReplicasPath: string(), statusReplicasPath: string(), labelSelectorPath: string() },
        { required: ['specReplicasPath', 'statusReplicasPath'] },
      ),
    }),
    additionalPrinterColumns: atomicList(columnSchema),
    selectableFields: atomicList(object({ jsonPath: string() }, { required: ['jsonPath'] })),
  },
  { required: ['name', 'served', 'storage'] },
);

export interface CustomResourceVersion extends ValueOf<typeof versionSchema> {}

const specSchema = object(
  {
    group: string(),
    scope: string({ enum: ['Namespaced', 'Cluster'] }),
    names: namesSchema,
    preserveUnknownFields: boolean(),
    conversion: object({ strategy: string({ enum: ['None', 'Webhook'] }), webhook: conversionWebhookSchema }),
    versions: atomicList(versionSchema),
  },
  { required: ['group', 'scope', 'names', 'versions'] },
);

const statusSchema = object({ conditions: conditionsSchema, acceptedNames: namesSchema, storedVersions: stringList });

const definitionSchema = object({ spec: specSchema, status: statusSchema }, { required: ['spec'] });

export interface CustomResourceDefinition extends KubeObject, ValueOf<typeof definitionSchema> {}

export const CustomResourceDefinitionKind = defineKind<CustomResourceDefinition>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  shortNames: ['crd', 'crds'],
  categories: ['api-extensions'],
  isNamespaced: false,
  schema: definitionSchema,
  columns: [{ name: 'Created At', type: 'date', jsonPath: '.metadata.creationTimestamp' }],
  setDefaults(definition) {
    const { names } = definition.spec;
    names.singular ??= names.kind.toLowerCase();
    names.listKind ??= `${names.kind}List`;
    definition.spec.conversion ??= { strategy: 'None' };
  },
  validate(definition, { old }) {
    const { group, names, versions, scope } = definition.spec;
    const errors: FieldError[] = [];
    const expected = `${names.plural}.${group}`;
    const { name } = definition.metadata;
    if (name !== expected) {
      errors.push(fieldInvalid('metadata.name', name, `must be spec.names.plural+"."+spec.group: ${expected}`));
    }
    if (!isDnsSubdomain(group) || !group.includes('.')) {
      errors.push(fieldInvalid('spec.group', group, `${dnsSubdomainRule}, and has at least one dot`));
    }
    if (!isDnsLabel1035(names.plural)) errors.push(fieldInvalid('spec.names.plural', names.plural, dnsLabel1035Rule));
    if (!isDnsLabel1035(names.kind.toLowerCase())) {
      errors.push(fieldInvalid('spec.names.kind', names.kind, dnsLabel1035Rule));
    }
    errors.push(...validateVersions(versions));
    if (old && old.spec.scope !== scope) errors.push(fieldInvalid('spec.scope', scope, 'field is immutable'));
    if (old && old.spec.names.kind !== names.kind && old.status?.conditions?.length) {
      errors.push(fieldInvalid('spec.names.kind', names.kind, 'field is immutable'));
    }
    return errors;
  },
});

function validateVersions(versions: readonly CustomResourceVersion[]): FieldError[] {
  const errors: FieldError[] = [];
  if (versions.filter((version) => version.storage).length !== 1) {
    errors.push(fieldInvalid('spec.versions', '', 'must have exactly one version marked as storage version'));
  }
  versions.forEach((version, i) => {
    const at = `spec.versions[${i}]`;
    if (!isDnsLabel1035(version.name)) errors.push(fieldInvalid(`${at}.name`, version.name, dnsLabel1035Rule));
    const root = version.schema?.openAPIV3Schema;
    if (!root) errors.push(fieldRequired(`${at}.schema.openAPIV3Schema`, 'schemas are required'));
    else if (root.type !== 'object') {
      errors.push(fieldInvalid(`${at}.schema.openAPIV3Schema.type`, root.type, "must be 'object' at the root"));
    } else {
      errors.push(...validateStructuralSchema(root, `${at}.schema.openAPIV3Schema`));
    }
  });
  return errors;
}
