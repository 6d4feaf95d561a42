import { apiVersionOf } from '../../../../api/kind.ts';
import { conditionsSchema } from '../../../../api/meta.ts';
import type { Schema } from '../../../../api/schema.ts';
import type { ServedResource } from '../../resources.ts';
import { groupVersionPath } from '../paths.ts';
import { metaSchemas, metaVersion } from './meta-schemas.ts';
import { versionInfo } from './version.ts';

interface GroupVersionKind {
  group: string;
  version: string;
  kind: string;
}

/** The OpenAPI v3 document of one group-version: the schemas of its kinds, and the paths that clients look at. */
export function openApiDocument(resources: readonly ServedResource[]): object {
  const paths: Record<string, object> = {};
  const schemas: Record<string, object> = { ...metaSchemas };
  for (const resource of resources) {
    Object.assign(paths, pathsOf(resource));
    Object.assign(schemas, schemasOf(resource));
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: versionInfo.gitVersion },
    paths,
    components: { schemas },
  };
}

/** `io.k8s.api.apps.v1.Deployment`; custom resources reverse the group: `com.example.v1.Widget`. */
function schemaName({ kind, isBuiltin }: ServedResource, name = kind.kind): string {
  const group = kind.group === '' ? 'core' : kind.group;
  if (isBuiltin) return `io.k8s.api.${group.replace(/\.k8s\.io$/, '')}.${kind.version}.${name}`;
  return `${group.split('.').toReversed().join('.')}.${kind.version}.${name}`;
}

function schemasOf(resource: ServedResource): Record<string, object> {
  const { isBuiltin, kind, listKind } = resource;
  const gvk: GroupVersionKind = { group: kind.group, version: kind.version, kind: kind.kind };
  const { properties, ...rest } = kind.schema;
  const published = (schema: Schema) => (isBuiltin ? builtinSchema(schema) : schema);
  return {
    [schemaName(resource)]: {
      ...rest,
      type: 'object',
      properties: {
        apiVersion: described.apiVersion,
        kind: described.kind,
        metadata: { ...reference(`${metaVersion}.ObjectMeta`), description: 'Standard object metadata.' },
        ...Object.fromEntries(Object.entries(properties ?? {}).map(([name, schema]) => [name, published(schema)])),
      },
      'x-kubernetes-group-version-kind': [gvk],
    },
    [schemaName(resource, listKind)]: {
      type: 'object',
      required: ['items'],
      properties: {
        apiVersion: described.apiVersion,
        kind: described.kind,
        metadata: reference(`${metaVersion}.ListMeta`),
        items: { type: 'array', items: reference(schemaName(resource)) },
      },
      'x-kubernetes-group-version-kind': [{ ...gvk, kind: listKind }],
    },
  };
}

/** Built-in kinds publish numbers-or-names as Kubernetes' own documents do. */
function builtinSchema(schema: Schema): Schema {
  if (schema === conditionsSchema) return schema;
  if (schema['x-kubernetes-int-or-string']) {
    const { 'x-kubernetes-int-or-string': _, ...rest } = schema;
    return { ...rest, format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] };
  }
  const { additionalProperties, items, properties } = schema;
  if (!properties && !items && typeof additionalProperties !== 'object') return schema;
  return {
    ...schema,
    ...(items && { items: builtinSchema(items) }),
    ...(typeof additionalProperties === 'object' && { additionalProperties: builtinSchema(additionalProperties) }),
    ...(properties && {
      properties: Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, builtinSchema(value)])),
    }),
  };
}

const described = {
  apiVersion: { type: 'string', description: 'The version of the schema of this object: group/version.' },
  kind: { type: 'string', description: 'The kind of this object, in CamelCase; it cannot change.' },
};

const reference = (name: string) => ({ allOf: [{ $ref: `#/components/schemas/${name}` }] });

function pathsOf(resource: ServedResource): Record<string, object> {
  const { isBuiltin, kind, listKind } = resource;
  const gvk: GroupVersionKind = { group: kind.group, version: kind.version, kind: kind.kind };
  const root = groupVersionPath(kind.group, kind.version);
  const collection = kind.isNamespaced ? `${root}/namespaces/{namespace}/${kind.plural}` : `${root}/${kind.plural}`;
  const own = json(reference(schemaName(resource)));
  const list = json(reference(schemaName(resource, listKind)));
  const tag = apiVersionOf(kind).replace(/[./]/g, '_');
  const operation = (action: string, content: object, extra: object = {}) => ({
    tags: [tag],
    operationId: `${action}${kind.isNamespaced ? 'Namespaced' : ''}${kind.kind}_${tag}`,
    responses: { 200: { description: 'OK', content } },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk,
    ...extra,
  });
  const body = (content: object) => ({ requestBody: { required: true, content }, parameters: writeParameters });
  const patchTypes = [
    'application/apply-patch+yaml',
    'application/json-patch+json',
    'application/merge-patch+json',
    ...(isBuiltin ? ['application/strategic-merge-patch+json'] : []),
  ];
  const patch = Object.fromEntries(patchTypes.map((type) => [type, { schema: reference(`${metaVersion}.Patch`) }]));
  const namespace = kind.isNamespaced ? [pathParameter('namespace')] : [];
  return {
    [collection]: {
      get: operation('list', list),
      post: operation('post', own, body(own)),
      parameters: namespace,
    },
    [`${collection}/{name}`]: {
      get: operation('get', own),
      put: operation('put', own, body(own)),
      patch: operation('patch', own, body(patch)),
      delete: operation('delete', json(reference(`${metaVersion}.Status`))),
      parameters: [pathParameter('name'), ...namespace],
    },
  };
}

const json = (schema: object) => ({ 'application/json': { schema } });

const pathParameter = (name: string) => ({ name, in: 'path', required: true, schema: { type: 'string' } });
const queryParameter = (name: string, description: string) => ({
  name,
  in: 'query',
  description,
  schema: { type: 'string' },
});

/** kubectl looks for fieldValidation here: with it, unknown fields are the server's to refuse. */
const writeParameters = [
  queryParameter('dryRun', 'All: everything is checked and nothing is stored.'),
  queryParameter('fieldManager', 'A name for who makes the change.'),
  queryParameter('fieldValidation', 'Strict, Warn or Ignore: what to do about unknown and duplicate fields.'),
];
