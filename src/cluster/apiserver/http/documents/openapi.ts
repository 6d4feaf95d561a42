import { apiVersionOf, type Kind } from '../../../../api/kind.ts';
import { conditionsSchema } from '../../../../api/meta.ts';
import type { Schema } from '../../../../api/schema.ts';
import type { Verb } from '../../request-info.ts';
import type { ServedResource } from '../../resources.ts';
import { groupVersionPath } from '../paths.ts';
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

const gvkOf = ({ group, version, kind }: PublishedKind) => ({ group, version, kind });

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

/** A resource or one of its subresources, as it is described. */
interface Described {
  resource: ServedResource;
  verbs: readonly Verb[];
  /** What is sent and answered. */
  kind: PublishedKind;
  schema: string;
  /** Distinguishes the names of its operations. */
  suffix: string;
  isStream: boolean;
}

function pathsOf(resource: ServedResource): Record<string, object> {
  const { isBuiltin, kind, subresources, verbs } = resource;
  const root = groupVersionPath(kind.group, kind.version);
  const collection = kind.isNamespaced ? `${root}/namespaces/{namespace}/${kind.plural}` : `${root}/${kind.plural}`;
  const inNamespace = kind.isNamespaced ? [pathParameter('namespace')] : [];
  const parameters = [pathParameter('name'), ...inNamespace];
  const own = { resource, verbs, kind, schema: schemaName(kind, isBuiltin), suffix: '', isStream: false };
  const paths: Record<string, object> = {
    [collection]: { ...operations(own, 'list', 'create'), parameters: inNamespace },
    [`${collection}/{name}`]: { ...operations(own, 'get', 'update', 'patch', 'delete'), parameters },
  };
  for (const [name, { kind: other, type, verbs }] of subresources) {
    const schema = other ? schemaName(other, true) : own.schema;
    const suffix = `_${name}`;
    const described = { resource, verbs, kind: other ?? kind, schema, suffix, isStream: type === 'stream' };
    paths[`${collection}/{name}/${name}`] = {
      ...operations(described, 'get', 'create', 'update', 'patch', 'delete'),
      parameters,
    };
  }
  return paths;
}

/** Those of `verbs` that are offered, by their methods. */
function operations(described: Described, ...verbs: readonly Method[]): Record<string, object> {
  const offered = verbs.filter((verb) => described.verbs.includes(verb));
  return Object.fromEntries(offered.map((verb) => [methods[verb], operation(described, verb)]));
}

function operation({ isStream, kind, resource, schema, suffix }: Described, verb: Method): object {
  const { isBuiltin, listKind } = resource;
  const { isNamespaced, kind: name } = resource.kind;
  const action = verb === 'list' ? verb : methods[verb];
  const tag = apiVersionOf(resource.kind).replace(/[./]/g, '_');
  const own = json(reference(schema));
  const answer = () => {
    if (isStream) return { '*/*': { schema: { type: 'string' } } };
    if (verb === 'list') return json(reference(schemaName(resource.kind, isBuiltin, listKind)));
    return verb === 'delete' ? json(reference(`${metaVersion}.Status`)) : own;
  };
  const body = (content: object) => ({ requestBody: { required: true, content }, parameters: writeParameters });
  return {
    tags: [tag],
    operationId: `${action}${isNamespaced ? 'Namespaced' : ''}${name}${suffix}_${tag}`,
    responses: { 200: { description: 'OK', content: answer() } },
    'x-kubernetes-action': isStream ? 'connect' : action,
    'x-kubernetes-group-version-kind': gvkOf(kind),
    ...(!isStream && (verb === 'create' || verb === 'update') && body(own)),
    ...(verb === 'patch' && body(patches(isBuiltin))),
  };
}

function patches(isBuiltin: boolean): object {
  const types = [
    'application/apply-patch+yaml',
    'application/json-patch+json',
    'application/merge-patch+json',
    ...(isBuiltin ? ['application/strategic-merge-patch+json'] : []),
  ];
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
