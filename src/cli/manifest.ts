import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { CustomResourceDefinitionKind } from '../api/apiextensions/custom-resource-definition.ts';
import type { BuildSpec } from '../api/build/build.ts';
import { findKind } from '../api/find-kind.ts';
import { defineKind, type Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import { ApiError } from '../api/status.ts';
import { uploadFolder } from '../build/index.ts';
import type { Client } from '../kube/client.ts';
import { parseYaml, type YamlDocument } from '../lib/yaml.ts';
import { embeddedRegistryHost, type RegistryClient } from '../registry/index.ts';

/** One object of a manifest, and where in the file it stands. */
export interface ManifestEntry {
  object: KubeObject;
  kind: Kind;
  /** `app.yaml:12` */
  at(path: string): string;
}

/** Reads a manifest of YAML or JSON documents; `-` is standard input. Errors name file and line. */
export async function readManifest(file: string, namespace: string, client: Client): Promise<ManifestEntry[]> {
  const text = readFileSync(file === '-' ? 0 : file, 'utf8');
  const entries: ManifestEntry[] = [];
  for (const document of parseYaml(text, file)) entries.push(await toEntry(document, file, namespace, client));
  if (entries.length === 0) throw new Error(`${file} holds no objects`);
  return entries;
}

async function toEntry(
  document: YamlDocument,
  file: string,
  namespace: string,
  client: Client,
): Promise<ManifestEntry> {
  const at = (path: string) => `${file}:${document.lineOf(path)}`;
  const object = document.value as Partial<KubeObject>;
  for (const field of ['apiVersion', 'kind'] as const) {
    if (typeof object[field] !== 'string')
      throw new Error(`${at('')}: ${field} is missing: every object says what it is`);
  }
  if (typeof object.metadata?.name !== 'string') throw new Error(`${at('metadata')}: metadata.name is missing`);
  const kind = await kindOf(object as KubeObject, client, at('kind'));
  const metadata = {
    ...object.metadata,
    ...(kind.isNamespaced ? { namespace: object.metadata.namespace ?? namespace } : {}),
  };
  return { object: { ...(object as KubeObject), metadata }, kind, at };
}

async function kindOf(object: KubeObject, client: Client, at: string): Promise<Kind> {
  const known = findKind(object.apiVersion, object.kind);
  if (known) return known;
  const [group, version] = object.apiVersion.split('/');
  const { items } = await client.list(CustomResourceDefinitionKind);
  const definition = items.find((crd) => crd.spec.group === group && crd.spec.names.kind === object.kind);
  if (!definition || version === undefined) {
    throw new Error(`${at}: there is no kind ${object.kind} in ${object.apiVersion}: see 'kubectl api-resources'`);
  }
  const { names, scope } = definition.spec;
  return defineKind({
    group: definition.spec.group,
    version,
    kind: names.kind,
    plural: names.plural,
    isNamespaced: scope === 'Namespaced',
    schema: {},
  });
}

/**
 * Uploads the folders that `spec.build.source.folder` names, relative to the manifest, and puts the uploaded artifact's
 * digest in their place. The same content gives the same digest, so nothing changes when nothing has changed.
 */
export async function uploadSources(
  entries: readonly ManifestEntry[],
  file: string,
  registry: RegistryClient,
  onUploaded: (name: string, digest: string) => void,
): Promise<ManifestEntry[]> {
  const uploaded: ManifestEntry[] = [];
  for (const entry of entries) {
    const build = buildSpecOf(entry.object);
    if (build?.source?.folder === undefined) {
      uploaded.push(entry);
      continue;
    }
    const { folder, ...source } = build.source;
    const { namespace, name } = entry.object.metadata;
    const { image, digest } = await uploadFolder({
      folder: resolve(dirname(file === '-' ? './stdin' : file), folder),
      reference: `${embeddedRegistryHost}/${namespace}/${name}-source`,
      registry,
    }).catch((error) => {
      throw new Error(`${entry.at('spec.build.source.folder')}: ${error.message}`, { cause: error });
    });
    onUploaded(name, digest);
    uploaded.push({
      ...entry,
      object: withSource(entry.object, { ...build, source: { ...source, ociArtifact: { image } } }),
    });
  }
  return uploaded;
}

function buildSpecOf(object: KubeObject): BuildSpec | undefined {
  const spec = (object as { spec?: { build?: BuildSpec; source?: BuildSpec['source'] } }).spec;
  return object.kind === 'Build' ? (spec as BuildSpec | undefined) : spec?.build;
}

function withSource(object: KubeObject, build: BuildSpec): KubeObject {
  if (object.kind === 'Build') return { ...object, spec: build } as KubeObject;
  const { spec } = object as KubeObject & { spec: object };
  return { ...object, spec: { ...spec, build } } as KubeObject;
}

/** Puts the lines of the manifest before the messages of an API error that names fields. */
export function locateError(error: unknown, entry: ManifestEntry): unknown {
  if (!(error instanceof ApiError)) return error;
  const fields = new Set([
    ...(error.details.causes ?? []).flatMap((cause) => (cause.field === undefined ? [] : [cause.field])),
    ...[...error.message.matchAll(/unknown field "([^"]+)"/g)].map((match) => match[1] ?? ''),
  ]);
  const where = fields.size === 0 ? entry.at('') : [...new Set([...fields].map((field) => entry.at(field)))].join(', ');
  return new ApiError(error.code, error.reason, `${where}: ${error.message}`, error.details);
}
