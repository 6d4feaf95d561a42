import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { BuildSpec } from '../api/build/build.ts';
import { readJsonFileAsync } from '../lib/json-file.ts';
import { formatReference, parseDigest, parseReference, RegistryClientError } from '../registry/index.ts';
import { carryOut } from './carry-out.ts';
import type { BuildContext } from './context.ts';
import { BuildFailure } from './failure.ts';
import { type PushedImage, pushImage } from './image.ts';
import type { Pack } from './packs/pack.ts';
import { remember } from './remember.ts';
import { fetchArtifact } from './source/artifact.ts';
import { fetchCommit, resolveCommit } from './source/git.ts';
import { type SourceFolder, sourceDigest, subFolder } from './source/source.ts';
import { writeInlineFiles } from './source/writer.ts';

export interface BuildResult extends PushedImage {
  /** What the source was when it was built. */
  source: { commit?: string; digest?: string };
}

/** A source whose content can no longer change, and how to get it. */
interface ResolvedSource {
  identity: { commit?: string; digest?: string };
  fetch(): Promise<SourceFolder>;
}

/**
 * From source to an image in the registry. What a revision means is settled first; everything that could change the
 * result is then in the key, and a key that was built before gives the same image without building. Throws BuildFailure
 * when the source or the spec is at fault, and the signal's reason when it aborts.
 */
export async function buildImage(spec: BuildSpec, packs: readonly Pack[], context: BuildContext): Promise<BuildResult> {
  const source = await resolveSource(spec, context);
  const key = buildKey(spec, source, packs);
  const known = await reuse(key, context);
  if (known) return { ...known, source: source.identity };
  const folder = await source.fetch();
  const { pack, because } = detect(folder, packs);
  context.log.say(`${pack.name}: ${because}`);
  const env = Object.fromEntries((spec.env ?? []).map(({ name, value }) => [name, value ?? '']));
  const options = { allowScripts: spec.allowScripts ?? false, env, cacheDir: context.folders.npmCache };
  const done = await carryOut(pack.plan(folder, options), pack, folder, context);
  const pushed = await pushImage(done, context);
  await remember(join(context.folders.images, `${key}.json`), { digest: pushed.digest });
  return { ...pushed, source: source.identity };
}

async function resolveSource({ source }: BuildSpec, context: BuildContext): Promise<ResolvedSource> {
  const { git, ociArtifact, files, folder, subPath } = source;
  const root = join(context.workDir, 'source');
  if (git) {
    context.progress(`resolving ${git.revision} of ${git.url}`);
    const commit = await resolveCommit(git, context);
    context.log.say(`${git.url}: ${git.revision} is commit ${commit}`);
    const fetch = () => {
      context.progress(`fetching commit ${commit.slice(0, 12)}`);
      return fetchCommit(git, commit, subPath, root, context);
    };
    return { identity: { commit }, fetch };
  }
  if (ociArtifact) {
    const { digest } = parseReference(ociArtifact.image);
    const fetch = async () => {
      context.progress('reading the uploaded folder');
      return subFolder(await fetchArtifact(ociArtifact.image, root, context.registry, context.signal), subPath);
    };
    return { identity: digest === undefined ? {} : { digest }, fetch };
  }
  if (files) {
    const written = subFolder(writeInlineFiles(files, root), subPath);
    return { identity: { digest: sourceDigest(written) }, fetch: async () => written };
  }
  throw new BuildFailure(
    'FolderNotUploaded',
    `the folder ${folder} is beside the manifest, where only the CLI can read it: use 'kittiwake apply -f FILE'`,
  );
}

function buildKey(spec: BuildSpec, source: ResolvedSource, packs: readonly Pack[]): string {
  const { template, allowScripts, env } = spec;
  const parts = {
    source: source.identity,
    // The identity of inline files is that of the part that is built.
    subPath: spec.source.files ? undefined : spec.source.subPath,
    template: template?.name,
    allowScripts: allowScripts ?? false,
    env: env ?? [],
    packs: packs.map(({ name, version }) => [name, version]),
    node: process.version,
    platform: [process.platform, process.arch],
  };
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/**
 * The image of an earlier build with the same key, if this repository still has it. It is put there again, which makes
 * it new to the registry's sweep, or fails when the sweep took a part of it.
 */
async function reuse(key: string, context: BuildContext): Promise<PushedImage | undefined> {
  const known = (await readJsonFileAsync(join(context.folders.images, `${key}.json`))) as
    | { digest?: unknown }
    | undefined;
  const digest = String(known?.digest);
  if (!parseDigest(digest)) return undefined; // None, damaged, or of another version.
  const { host, name } = parseReference(context.repository);
  const image = formatReference({ host, name, digest });
  try {
    const { bytes } = await context.registry.manifest(image, context.signal);
    await context.registry.push({ host, name, digest }, { manifest: bytes, blobs: [] }, context.signal);
  } catch (error) {
    if (error instanceof RegistryClientError && error.status === 404) return undefined;
    throw error;
  }
  context.log.say(`built before: ${digest}`);
  return { image, digest };
}

function detect(source: SourceFolder, packs: readonly Pack[]): { pack: Pack; because: string } {
  for (const pack of packs) {
    const detection = pack.detect(source);
    if (detection) return { pack, because: detection.because };
  }
  const root = [...new Set([...source.entries.keys()].map((path) => path.split('/')[0]))].slice(0, 10).join(', ');
  const wanted = packs.flatMap(({ looksFor }) => looksFor).join(', ');
  const remedy = `this version builds ${packs.map((pack) => pack.name).join(', ')}; is subPath missing?`;
  const message = `no language was found: the source has ${root}, and none of ${wanted}: ${remedy}`;
  throw new BuildFailure('NotDetected', message);
}
