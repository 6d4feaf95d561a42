import { readFileSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { NamespaceKind } from '../api/core/namespace.ts';
import { NodeKind } from '../api/core/node.ts';
import { type Service, ServiceKind } from '../api/serving/service.ts';
import { uploadFolder } from '../build/source/artifact.ts';
import { applyObject } from '../kube/apply.ts';
import type { Client } from '../kube/client.ts';
import { embeddedRegistryHost, parseReference } from '../registry/index.ts';
import { buildAgain } from './build-again.ts';
import { type CommonOptions, runningPlatform } from './platform.ts';
import { followService, type Step } from './progress.ts';
import { registryOf } from './registry.ts';
import { parseSeconds } from './seconds.ts';
import { bold, dim, duration, green, print, say } from './terminal.ts';

interface EnvVar {
  name: string;
  value: string;
}

export interface DeployOptions {
  /** What to run, instead of a folder. */
  image?: string;
  port?: string;
  name?: string;
  namespace: string;
  env?: string[];
  allowScripts?: boolean;
  timeout: string;
}

/** An app starts within this; whoever waits longer is told what for. */
const silentMs = 5_000;
const rule = 'it must listen on the port in the environment variable PORT';

/**
 * `kittiwake deploy FOLDER`, or `--image IMAGE`: uploads and builds a folder, waits until it serves; prints the URL
 * alone on standard output.
 */
export async function deploy(common: CommonOptions, folder: string | undefined, options: DeployOptions): Promise<void> {
  const { addresses, client } = runningPlatform(common);
  const { image } = options;
  if (image !== undefined && folder !== undefined) throw new Error('deploy takes a folder or --image, not both');
  if (image !== undefined && options.allowScripts === true)
    throw new Error('--allow-scripts is for what is built: leave it out with --image');
  const path = resolve(folder ?? '.');
  if (image === undefined && !statSync(path, { throwIfNoEntry: false })?.isDirectory())
    throw new Error(`${folder} is not a folder: name the one to deploy`);
  const name = options.name ?? (image === undefined ? nameOf(path) : nameOfImage(image));
  if (!/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name))
    throw new Error(
      `--name is ${JSON.stringify(name)}: a name is a-z, 0-9 and -, starts with a letter, at most 63 long`,
    );
  const { namespace } = options;
  const timeoutMs = parseSeconds('--timeout', options.timeout) * 1000;
  const env = (options.env ?? []).map(parseEnv);
  const port = options.port === undefined ? undefined : parsePort(options.port);
  const startedMs = performance.now();
  if (!(await client.get(NamespaceKind, { name: namespace })))
    throw new Error(`there is no namespace ${namespace}: 'kubectl create namespace ${namespace}' makes it`);

  let artifact: string | undefined;
  if (image === undefined) {
    const reference = `${embeddedRegistryHost}/${namespace}/${name}-source`;
    const source = await uploadFolder({ folder: path, reference, registry: registryOf(addresses) });
    artifact = source.image;
    progress(startedMs, `source uploaded ${dim(source.digest.slice(0, 19))}`);
  }

  const wanted = serviceOf(name, options, { env, port, artifact });
  const { outcome } = await applyObject(client, ServiceKind, wanted);
  const deadline = AbortSignal.timeout(timeoutMs);
  if (outcome === 'unchanged') {
    const isAgain = await buildAgain(client, { namespace, name }, deadline);
    const more = isAgain ? ', whose build failed: building again' : '';
    progress(startedMs, `nothing has changed since the last deploy${more}`);
  }
  const mustListen = image === undefined ? rule : `${rule}, or --port says on which it does`;
  const sayWhy = () =>
    progress(startedMs, `still waiting: 'kittiwake logs ${name}' shows what it prints; ${mustListen}`);
  let silence: NodeJS.Timeout | undefined;
  const onStep = (step: Step) => {
    tell(step, startedMs);
    clearTimeout(silence);
    if (step.type === 'revision-created') silence = setTimeout(sayWhy, silentMs);
  };
  try {
    await followService(client, { namespace, name }, onStep, deadline);
  } catch (error) {
    // When this fails, too, the first error is the one that counts.
    const service = await client.get(ServiceKind, { namespace, name }).catch(() => undefined);
    const serving = service?.status?.latestReadyRevisionName;
    if (serving !== undefined) say(`revision ${bold(serving)} keeps serving`);
    if (image !== undefined && (await runsProcesses(client)))
      say("pods run as processes here, and most images need a container: 'kittiwake doctor' says what that takes");
    throw error;
  } finally {
    clearTimeout(silence);
  }
  const service = await client.get(ServiceKind, { namespace, name });
  say(`${green('ready')} in ${duration(performance.now() - startedMs)}`);
  print(service?.status?.url ?? '');
}

/** Whether there is nothing else on the platform's node. */
async function runsProcesses(client: Client): Promise<boolean> {
  const nodes = await client.list(NodeKind, {}).catch(() => undefined); // The failure that it is about counts more.
  return nodes?.items.some(({ status }) => /^process:/.test(status?.nodeInfo?.containerRuntimeVersion ?? '')) ?? false;
}

interface What {
  env: EnvVar[];
  port: number | undefined;
  /** The folder as it was uploaded; undefined of an image that is there already. */
  artifact: string | undefined;
}

function serviceOf(name: string, options: DeployOptions, { env, port, artifact }: What): Service {
  const build = {
    source: { ociArtifact: { image: artifact } },
    ...(options.allowScripts === true ? { allowScripts: true } : {}),
  };
  const container = {
    image: options.image ?? 'build://output',
    ...(env.length > 0 ? { env } : {}),
    ...(port === undefined ? {} : { ports: [{ containerPort: port }] }),
  };
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name, namespace: options.namespace },
    spec: {
      ...(artifact === undefined ? {} : { build }),
      template: { spec: { containers: [container] } },
    },
  } as Service;
}

function tell(step: Step, startedMs: number): void {
  if (step.type === 'build-step') progress(startedMs, step.message);
  else if (step.type === 'built') progress(startedMs, `image in the registry ${dim(step.digest.slice(0, 19))}`);
  else if (step.type === 'revision-created') progress(startedMs, `revision ${bold(step.name)}`);
  else if (step.type === 'build-failed') say(`\n${step.log.trimEnd()}\n`);
}

function progress(startedMs: number, message: string): void {
  say(`${dim(duration(performance.now() - startedMs).padStart(8))}  ${message}`);
}

function parseEnv(text: string): EnvVar {
  const at = text.indexOf('=');
  if (at < 1) throw new Error(`--env is ${JSON.stringify(text)}: write NAME=value`);
  return { name: text.slice(0, at), value: text.slice(at + 1) };
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535)
    throw new Error(`--port is ${JSON.stringify(text)}: it must be a number from 1 to 65535`);
  return port;
}

/** The last part of the repository's: `nginx` of `docker.io/library/nginx:1.27`. */
function nameOfImage(image: string): string {
  return asLabel(parseReference(image).name.split('/').at(-1) ?? '');
}

/** The name in func.yaml, else in package.json, else the folder's, made a DNS label. */
function nameOf(path: string): string {
  const named = nameInFuncYaml(join(path, 'func.yaml')) ?? nameInPackage(join(path, 'package.json')) ?? basename(path);
  return asLabel(named);
}

function asLabel(named: string): string {
  const label = named
    .toLowerCase()
    .replace(/^@[^/]*\//, '')
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '')
    .slice(0, 50);
  if (label === '') throw new Error(`no name can be made of ${JSON.stringify(named)}: give one with --name`);
  return label;
}

function nameInPackage(file: string): string | undefined {
  try {
    const { name } = JSON.parse(textOf(file) ?? '{}');
    return typeof name === 'string' && name !== '' ? name : undefined;
  } catch {
    return undefined; // The build reports what is wrong with it.
  }
}

function nameInFuncYaml(file: string): string | undefined {
  return /^name:\s*["']?([\w.-]+)/m.exec(textOf(file) ?? '')?.[1];
}

/** Only of a regular file of a size that such a file may have: a pipe would be waited for. */
function textOf(file: string): string | undefined {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat?.isFile() && stat.size <= 1 << 20 ? readFileSync(file, 'utf8') : undefined;
}
