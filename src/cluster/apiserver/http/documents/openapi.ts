import { apiVersionOf, type Kind } from '../../../../api/kind.ts';
import { conditionsSchema } from '../../../../api/meta.ts';
import type { Schema } from '../../../../api/schema.ts';
import { patchTypes } from '../../../../kube/client.ts';
import type { ServedResource } from '../../resources.ts';
import type { Subresource } from '../../strategy.ts';
import { groupVersionPath } from '../paths.ts';
import { gvkOf } from './discovery.ts';
import { metaSchemas, metaVersion } from './meta-schemas.ts';
import { versionInfo } from './version.ts';

type PublishedKind = Pick<Kind, 'group' | 'version' | 'kind' | 'schema'>;

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
function schemaName(kind: PublishedKind, isBuiltin: boolean, name = kind.kind): string {
  const group = kind.group === '' ? 'core' : kind.group;
  if (isBuiltin) return `io.k8s.api.${group.replace(/\.k8s\.io$/, '')}.${kind.version}.${name}`;
  return `${group.split('.').toReversed().join('.')}.${kind.version}.${name}`;
}

function schemasOf({ isBuiltin, kind, listKind, subresources }: ServedResource): Record<string, object> {
  const others = [...subresources.values()].flatMap((subresource) => subresource.kind ?? []);
  return {
    [schemaName(kind, isBuiltin)]: objectSchema(kind, isBuiltin),
    [schemaName(kind, isBuiltin, listKind)]: {
      type: 'object',
      required: ['items'],
      properties: {
        apiVersion: described.apiVersion,
        kind: described.kind,
        metadata: reference(`${metaVersion}.ListMeta`),
        items: { type: 'array', items: reference(schemaName(kind, isBuiltin)) },
      },
      'x-kubernetes-group-version-kind': [{ ...gvkOf(kind), kind: listKind }],
    },
    ...Object.fromEntries(others.map((other) => [schemaName(other, true), objectSchema(other, true)])),
  };
}

function objectSchema(kind: PublishedKind, isBuiltin: boolean): object {
  const { properties, ...rest } = kind.schema;
  const published = (schema: Schema) => (isBuiltin ? builtinSchema(schema) : schema);
  return {
    ...rest,
    type: 'object',
    properties: {
      apiVersion: described.apiVersion,
      kind: described.kind,
      metadata: { ...reference(`${metaVersion}.ObjectMeta`), description: 'Standard object metadata.' },
      ...Object.fromEntries(Object.entries(properties ?? {}).map(([name, schema]) => [name, published(schema)])),
    },
    'x-kubernetes-group-version-kind': [gvkOf(kind)],
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

/** The method by which each verb is asked for; the others are parameters of these. */
const methods = { create: 'post', delete: 'delete', get: 'get', list: 'get', patch: 'patch', update: 'put' } as const;
type Method = keyof typeof methods;

/** What is described: a resource, or one of its subresources. */
type Described = Pick<ServedResource, 'verbs'> & Pick<Subresource, 'kind'> & { type?: Subresource['type'] };

function pathsOf(resource: ServedResource): Record<string, object> {
  const { kind, subresources } = resource;
  const root = groupVersionPath(kind.group, kind.version);
  const collection = kind.isNamespaced ? `${root}/namespaces/{namespace}/${kind.plural}` : `${root}/${kind.plural}`;
  const inNamespace = kind.isNamespaced ? [pathParameter('namespace')] : [];
  const onOne = [pathParameter('name'), ...inNamespace];
  const paths: Record<string, object> = {};
  const add = (path: string, parameters: object[], what: Described, suffix: string, ...verbs: readonly Method[]) => {
    const offered = verbs.filter((verb) => what.verbs.includes(verb));
    const operations = offered.map((verb) => [methods[verb], operation(resource, what, suffix, verb)]);
    if (operations.length > 0) paths[path] = { ...Object.fromEntries(operations), parameters };
  };
  add(collection, inNamespace, resource, '', 'list', 'create');
  add(`${collection}/{name}`, onOne, resource, '', 'get', 'update', 'patch', 'delete');
  for (const [name, subresource] of subresources) {
    add(`${collection}/{name}/${name}`, onOne, subresource, `_${name}`, 'get', 'create', 'update', 'patch', 'delete');
  }
  return paths;
}

function operation(resource: ServedResource, what: Described, suffix: string, verb: Method): object {
  const { isBuiltin, kind, listKind } = resource;
  const { kind: about = kind, type } = what;
  const isStream = type === 'stream';
  const action = verb === 'list' ? verb : methods[verb];
  const tag = apiVersionOf(kind).replace(/[./]/g, '_');
  const own = json(reference(schemaName(about, isBuiltin || about !== kind)));
  const answers: Partial<Record<Method, object>> = {
    list: json(reference(schemaName(kind, isBuiltin, listKind))),
    delete: json(reference(`${metaVersion}.Status`)),
  };
  const text = { '*/*': { schema: { type: 'string' } } };
  const body = (content: object) => ({ requestBody: { required: true, content }, parameters: writeParameters });
  return {
    tags: [tag],
    operationId: `${action}${kind.isNamespaced ? 'Namespaced' : ''}${kind.kind}${suffix}_${tag}`,
    responses: { 200: { description: 'OK', content: isStream ? text : (answers[verb] ?? own) } },
    'x-kubernetes-action': isStream ? 'connect' : action,
    'x-kubernetes-group-version-kind': gvkOf(about),
    ...(!isStream && (verb === 'create' || verb === 'update') && body(own)),
    ...(verb === 'patch' && body(patches(isBuiltin))),
  };
}

function patches(isBuiltin: boolean): object {
  const { strategic, ...always } = patchTypes;
  const types = [...Object.values(always), ...(isBuiltin ? [strategic] : [])];
  return Object.fromEntries(types.map((type) => [type, { schema: reference(`${metaVersion}.Patch`) }]));
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
