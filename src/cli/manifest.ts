import { readdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { BuildSpec } from '../api/build/build.ts';
import { type Kind, referenceTo } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import { ApiError } from '../api/status.ts';
import { uploadFolder } from '../build/source/artifact.ts';
import { type Applied, applyObject } from '../kube/apply.ts';
import type { Client } from '../kube/client.ts';
import { messageOf } from '../lib/errors.ts';
import { isJsonObject } from '../lib/json-object.ts';
import { parseYaml, type YamlDocument } from '../lib/yaml.ts';
import { embeddedRegistryHost, type RegistryClient } from '../registry/index.ts';
import { checkIsThere, readInput } from './read-input.ts';

/** One object of a manifest, and where in the file it stands. */
export interface ManifestEntry {
  object: KubeObject;
  kind: Kind;
  /** `-` is standard input. */
  file: string;
  /** `app.yaml:12` */
  at(path: string): string;
}

/** A manifest of more bytes holds what no API server takes in one object, or too much to be meant. */
const manifestBytesMax = 32 * 1024 * 1024;

/**
 * Reads a manifest of YAML or JSON documents; `-` is standard input. Of a folder, all files that end in .yaml, .yml or
 * .json, in the order of their names; with `isRecursive` also those of the folders in it. Errors name file and line.
 */
export async function readManifest(
  path: string,
  namespace: string,
  client: Client,
  isRecursive = false,
): Promise<ManifestEntry[]> {
  const entries: ManifestEntry[] = [];
  for (const file of path === '-' ? ['-'] : filesOf(path, isRecursive)) {
    const text = await readInput(file, file === '-' ? 'standard input' : file, manifestBytesMax);
    for (const document of parseYaml(text.toString('utf8'), file)) {
      entries.push(await toEntry(document, file, namespace, client));
    }
  }
  if (entries.length === 0) throw new Error(`${path} holds no objects`);
  return entries;
}

/** What `-f` means: a file as it is, be it a pipe; of a folder only regular files, as a pipe in it is not meant. */
function filesOf(path: string, isRecursive: boolean): string[] {
  checkIsThere(path, '--filename');
  if (!statSync(path).isDirectory()) return [path];
  const files: string[] = [];
  const visit = (folder: string) => {
    const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const full = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (isRecursive) visit(full);
      } else if (/\.(ya?ml|json)$/.test(entry.name) && statSync(full, { throwIfNoEntry: false })?.isFile()) {
        files.push(full);
      }
    }
  };
  visit(path);
  if (files.length > 0) return files;
  const remedy = isRecursive ? '' : ' (-R looks into the folders in it, too)';
  throw new Error(`the folder ${path} has no file that ends in .yaml, .yml or .json${remedy}`);
}

async function toEntry(
  { value, lineOf }: YamlDocument,
  file: string,
  namespace: string,
  client: Client,
): Promise<ManifestEntry> {
  const at = (path: string) => `${file}:${lineOf(path)}`;
  if (!isJsonObject(value))
    throw new Error(`${at('')}: this is ${shown(value)}: an object has apiVersion, kind and metadata`);
  const metadata = value.metadata ?? {};
  if (!isJsonObject(metadata))
    throw new Error(`${at('metadata')}: metadata is ${shown(metadata)}: it holds fields, with a name`);
  const apiVersion = text(value, 'apiVersion', '', at);
  const kindName = text(value, 'kind', '', at);
  const name = text(metadata, 'name', 'metadata.', at);
  if (metadata.namespace != null) text(metadata, 'namespace', 'metadata.', at);
  const kind = await client.kindOf(referenceTo({ apiVersion, kind: kindName }));
  if (!kind) {
    throw new Error(`${at('kind')}: there is no kind ${kindName} in ${apiVersion}: see 'kubectl api-resources'`);
  }
  const scope = kind.isNamespaced ? { namespace: metadata.namespace ?? namespace } : {};
  const object = { ...value, metadata: { ...metadata, name, ...scope } } as unknown as KubeObject;
  return { object, kind, file, at };
}

function text(holder: Record<string, unknown>, field: string, prefix: string, at: (path: string) => string): string {
  const value = holder[field];
  if (typeof value === 'string' && value !== '') return value;
  const path = prefix + field;
  if (value === undefined || value === null || value === '')
    throw new Error(`${at(path)}: ${path} is missing: every object says what it is`);
  throw new Error(`${at(path)}: ${path} is ${shown(value)}: it must be text (in quotes, when it looks like a number)`);
}

function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value);
  return json.length > 80 ? `${json.slice(0, 80)}…` : json;
}

/**
 * Uploads the folders that `spec.build.source.folder` names, relative to the manifest, and puts the uploaded artifact's
 * digest in their place. The same content gives the same digest, so nothing changes when nothing has changed.
 */
export async function uploadSources(
  entries: readonly ManifestEntry[],
  registry: RegistryClient,
  onUploaded: (name: string, digest: string) => void,
): Promise<ManifestEntry[]> {
  const uploaded: ManifestEntry[] = [];
  for (const entry of entries) {
    const build = buildSpecOf(entry.object);
    const { folder, ...source } = build?.source ?? {};
    if (folder === undefined) {
      uploaded.push(entry);
      continue;
    }
    const field = folderField(entry);
    const at = entry.at(field);
    if (typeof folder !== 'string') throw new Error(`${at}: ${field} is ${shown(folder)}: it must be a path`);
    const { namespace, name } = entry.object.metadata;
    const { image, digest } = await uploadFolder({
      folder: resolve(dirname(entry.file === '-' ? './stdin' : entry.file), folder),
      reference: `${embeddedRegistryHost}/${namespace}/${name}-source`,
      registry,
    }).catch((error) => {
      throw new Error(`${at}: ${messageOf(error)}`, { cause: error });
    });
    onUploaded(name, digest);
    uploaded.push({
      ...entry,
      object: withSource(entry.object, { ...build, source: { ...source, ociArtifact: { image } } }),
    });
  }
  return uploaded;
}

const folderField = ({ object }: ManifestEntry) =>
  object.kind === 'Build' ? 'spec.source.folder' : 'spec.build.source.folder';

function buildSpecOf(object: KubeObject): BuildSpec | undefined {
  const spec = (object as { spec?: { build?: BuildSpec; source?: BuildSpec['source'] } }).spec;
  return object.kind === 'Build' ? (spec as BuildSpec | undefined) : spec?.build;
}

function withSource(object: KubeObject, build: BuildSpec): KubeObject {
  if (object.kind === 'Build') return { ...object, spec: build } as KubeObject;
  const { spec } = object as KubeObject & { spec: object };
  return { ...object, spec: { ...spec, build } } as KubeObject;
}

/** Creates or updates the object; says which. An error of the API that names fields says where they stand. */
export async function applyEntry(client: Client, entry: ManifestEntry): Promise<Applied<KubeObject>['outcome']> {
  try {
    return (await applyObject(client, entry.kind, entry.object)).outcome;
  } catch (error) {
    throw locateError(error, entry);
  }
}

/** Puts the lines of the manifest before the messages of an API error that names fields. */
function locateError(error: unknown, entry: ManifestEntry): unknown {
  if (!(error instanceof ApiError)) return error;
  const fields = new Set([
    ...(error.details.causes ?? []).flatMap((cause) => (cause.field === undefined ? [] : [cause.field])),
    ...[...error.message.matchAll(/unknown field "([^"]+)"/g)].map((match) => match[1] ?? ''),
  ]);
  const where = fields.size === 0 ? entry.at('') : [...new Set([...fields].map((field) => entry.at(field)))].join(', ');
  return new ApiError(error.code, error.reason, `${where}: ${error.message}`, error.details);
}
