import { join } from 'node:path';
import type { BuildContext } from '../context.ts';
import { BuildFailure } from '../failure.ts';
import { BuildLog } from '../steps/log.ts';
import type { Program } from '../steps/step-runner.ts';
import { type GitBlob, GitBlobs } from './git-blobs.ts';
import type { SourceFolder, SourceLimits } from './source.ts';
import { SourceWriter } from './writer.ts';

export interface GitLocation {
  url: string;
  revision: string;
}

/**
 * Nothing that the repository or this machine configures runs: no hooks, helpers, filters, prompts, other protocols.
 */
const safeOptions = [
  'protocol.allow=never',
  'protocol.http.allow=always',
  'protocol.https.allow=always',
  'protocol.ssh.allow=always',
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.askPass=',
  'credential.helper=',
  'submodule.recurse=false',
  'fetch.recurseSubmodules=false',
  // A server that says nothing for a minute is given up.
  'http.lowSpeedLimit=1',
  'http.lowSpeedTime=60',
  'pack.threads=2',
  'gc.auto=0',
  'maintenance.auto=false',
].flatMap((option) => ['-c', option]);

/** The commit that the revision means now. A full commit that is neither a branch nor a tag is taken at its word. */
export async function resolveCommit({ url, revision }: GitLocation, context: BuildContext): Promise<string> {
  const refs = [revision, `refs/heads/${revision}`, `refs/tags/${revision}`, `refs/tags/${revision}^{}`];
  const { code, output, errors } = await git(['ls-remote', '--', url, ...refs], context, context.workDir);
  if (code !== 0 || /^fatal:/m.test(errors)) throw remoteFailure(url, errors);
  const commits = new Map<string, string>();
  for (const line of output.toString('utf8').split('\n')) {
    const [commit, ref] = line.split('\t');
    if (commit && ref) commits.set(ref, commit);
  }
  // An annotated tag's own object is no commit: the line with ^{} is what it points to.
  const [exact, head, tag, peeled] = refs.map((ref) => commits.get(ref));
  const commit = peeled ?? head ?? tag ?? exact;
  if (commit !== undefined) return commit;
  if (/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(revision)) return revision;
  const hint = /^[0-9a-f]{7,39}$/.test(revision) ? ' (a commit must be given in full)' : '';
  throw revisionNotFound(url, revision, hint);
}

/** The files of one commit, fetched without its history, in a new folder. */
export async function fetchCommit(
  location: GitLocation,
  commit: string,
  subPath: string | undefined,
  folder: string,
  context: BuildContext,
  limits?: SourceLimits,
): Promise<SourceFolder> {
  const repository = join(context.workDir, 'repository.git');
  await mustSucceed(['init', '--quiet', '--bare', '--template=', repository], context, context.workDir);
  await fetchObjects(location, commit, repository, context);
  return checkOut(repository, commit, subPath, new SourceWriter(folder, limits), context);
}

async function fetchObjects(
  { url, revision }: GitLocation,
  commit: string,
  repository: string,
  context: BuildContext,
): Promise<void> {
  const fetch = ['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--depth=1', '--', url];
  const direct = await git([...fetch, commit], context, repository);
  if (direct.code === 0) return;
  // Old servers give only what a branch or tag points to; take the revision if it still is the commit.
  if (revision !== commit) {
    const named = await git([...fetch, revision], context, repository);
    const has = await git(['cat-file', '-e', `${commit}^{commit}`], context, repository);
    if (named.code === 0 && has.code === 0) return;
  }
  if (/not our ref|no such remote ref|couldn't find remote ref|unadvertised object|bad object/i.test(direct.errors)) {
    throw revisionNotFound(url, commit, '');
  }
  throw remoteFailure(url, direct.errors);
}

async function checkOut(
  repository: string,
  commit: string,
  subPath: string | undefined,
  writer: SourceWriter,
  context: BuildContext,
): Promise<SourceFolder> {
  const prefix = (subPath ?? '.').replace(/^\.\//, '').replace(/\/+$/, '');
  const treeish = prefix === '.' || prefix === '' ? commit : `${commit}:${prefix}`;
  const { list } = writer;
  const recordsMax = list.limits.filesMax + submodulesMax;
  const listed = await git(['ls-tree', '-r', '-z', '-l', '--full-tree', treeish], context, repository, { recordsMax });
  if (listed.code !== 0) {
    throw new BuildFailure('SubPathNotFound', `commit ${commit} has no folder ${subPath}: check subPath`);
  }
  const wanted: GitBlob[] = [];
  let submodules = 0;
  for (const line of listed.output.toString('utf8').split('\0')) {
    const match = /^(\d+) (\w+) ([0-9a-f]+) +(\d+|-)\t(.+)$/s.exec(line);
    if (!match) continue;
    const [, mode = '', type, hash = '', size, path = ''] = match;
    if (type === 'commit') {
      if (submodules++ < submodulesSaidMax) context.log.say(`${path} is a submodule: left out`);
      continue;
    }
    if (wanted.length >= list.limits.filesMax) list.tooMany();
    list.reserve(path, Number(size));
    wanted.push({ path, mode, hash });
  }
  const stdin = wanted.map(({ hash }) => `${hash}\n`).join('');
  // Each file comes with a line of its own before it and a newline behind.
  const outputBytesMax = list.limits.totalBytesMax + 200 * wanted.length;
  const blobs = new GitBlobs(wanted, writer);
  const onOutput = (chunk: Buffer) => blobs.read(chunk);
  try {
    await mustSucceed(['cat-file', '--batch'], context, repository, { stdin, outputBytesMax, onOutput });
    blobs.finish();
  } finally {
    blobs.close();
  }
  return writer.finish();
}

const submodulesMax = 1000;
const submodulesSaidMax = 20;

interface GitResult {
  code: number;
  output: Buffer;
  errors: string;
}

/** How much of a fetch may lie on the disk, and what git may take of the memory for it, in KiB. */
const limits = { diskKiB: 1024 * 1024, memoryKiB: 3 * 1024 * 1024 };
/** Lists of refs and of files; the files' content has a bound of its own. */
const listBytesMax = 32 * 1024 * 1024;

/** What the server sends is bounded by the system: git itself reads, and keeps, whatever comes. */
const boundedGit: Program = {
  command: [
    '/bin/sh',
    '-c',
    // `ulimit -v` is not there on macOS: then only the disk is bounded.
    `ulimit -f ${limits.diskKiB * 2}; ulimit -v ${limits.memoryKiB} 2>/dev/null; exec git "$@"`,
    'git',
  ],
  env: {
    GIT_TERMINAL_PROMPT: '0',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_LFS_SKIP_SMUDGE: '1',
    GIT_SSH_COMMAND: 'ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15',
  },
  path: [],
  usesNetwork: true,
  runsForeignCode: false,
};

async function git(
  args: string[],
  context: BuildContext,
  cwd: string,
  more: {
    stdin?: string;
    outputBytesMax?: number;
    recordsMax?: number;
    /** Takes the output as it comes, which is then not kept. */
    onOutput?: (chunk: Buffer) => void;
  } = {},
): Promise<GitResult> {
  const { stdin, outputBytesMax = listBytesMax, recordsMax = Number.POSITIVE_INFINITY } = more;
  let records = 0;
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  const tooMuch = new AbortController();
  const take = (chunk: Buffer) => {
    try {
      if (more.onOutput) more.onOutput(chunk);
      else chunks.push(chunk);
    } catch (error) {
      tooMuch.abort(error); // Thrown here, it would end the process.
    }
  };
  const errors = new BuildLog(16 * 1024, context.redact);
  const place = {
    folder: cwd,
    home: context.workDir,
    print: (text: string) => errors.write(text),
    onOutput(chunk: Buffer) {
      sizeBytes += chunk.length;
      if (more.recordsMax !== undefined) for (const byte of chunk) if (byte === 0) records++;
      const what = records > recordsMax ? `${recordsMax} files` : `${outputBytesMax} bytes`;
      if (tooMuch.signal.aborted) return;
      if (sizeBytes <= outputBytesMax && records <= recordsMax) take(chunk);
      else tooMuch.abort(new BuildFailure('SourceTooLarge', `git ${args[0]} gave more than ${what}: leave some out`));
    },
    ...(stdin === undefined ? {} : { input: stdin }),
  };
  const program = { ...boundedGit, command: [...boundedGit.command, ...safeOptions, ...args] };
  const signal = AbortSignal.any([context.signal, tooMuch.signal]);
  const { exitCode: code } = await context.steps.run(program, place, signal);
  const said = errors.text().trim();
  if (code === 127 && /git: not found|git: command not found|git: No such file/.test(said)) {
    throw new BuildFailure('GitFetchFailed', 'there is no git on this machine: install git');
  }
  if (
    /File size limit exceeded|signal 25|Out of memory|out of memory|mmap failed|pack exceeds/.test(said) ||
    code === 153
  ) {
    const limit = `${limits.diskKiB / 1024} MiB`;
    throw new BuildFailure(
      'SourceTooLarge',
      `git ${args[0]} ended: one commit may take ${limit} to fetch: ${lastOf(said)}`,
    );
  }
  return { code, output: Buffer.concat(chunks), errors: said };
}

const lastOf = (errors: string) => errors.split('\n').slice(-3).join('; ').slice(0, 1000);

async function mustSucceed(...call: Parameters<typeof git>): Promise<GitResult> {
  const result = await git(...call);
  if (result.code !== 0) throw new BuildFailure('GitFetchFailed', `git ${call[0][0]} failed: ${lastOf(result.errors)}`);
  return result;
}

function revisionNotFound(url: string, revision: string, hint: string): BuildFailure {
  const message = `${url} has no branch, tag or commit ${revision}${hint}: check spec.source.git.revision`;
  return new BuildFailure('GitRevisionNotFound', message);
}

function remoteFailure(url: string, errors: string): BuildFailure {
  const said = lastOf(errors);
  if (
    /could not read Username|Authentication failed|terminal prompts disabled|Permission denied|\b40[13]\b/.test(errors)
  ) {
    return new BuildFailure('GitAuthRequired', `${url} wants credentials that the build does not have: ${said}`);
  }
  if (/not found|does not exist|not appear to be a git repository|returned error: 404/i.test(errors)) {
    return new BuildFailure('GitRepositoryNotFound', `there is no git repository at ${url}: ${said}`);
  }
  return new BuildFailure('GitFetchFailed', `${url} could not be fetched: ${said}`);
}
