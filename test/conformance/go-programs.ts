/** Knative's own programs, built by Go from its module proxy: nothing of them is in this repository. */
import { execFile } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Of `knative.dev/serving`; its go.mod says which networking, pkg and caching belong to it. */
const servingVersion = 'v0.50.0';

/** What is built once: by version, so that another one is built beside it. */
const cache = join(
  process.env.KITTIWAKE_CONFORMANCE ?? join(homedir(), '.cache/kittiwake-conformance'),
  servingVersion,
);
const environment = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod -buildvcs=false' };

/** The test images' programs of a module (`serving`, `networking`): a folder of static executables, by image name. */
export async function testPrograms(module: string): Promise<string> {
  const folder = join(cache, 'images', module);
  if (existsSync(folder)) return folder;
  const source = await wrapper();
  const format = '{{if eq .Name "main"}}{{.ImportPath}}{{end}}';
  const listed = await go(source, 'list', '-f', format, `knative.dev/${module}/test/test_images/...`);
  const made = `${folder}.new`;
  mkdirSync(made, { recursive: true });
  await go(source, 'build', '-trimpath', '-o', `${made}/`, ...listed.split('\n').filter(Boolean));
  renameSync(made, folder);
  return folder;
}

/** A suite as an executable: the tests of the package `knative.dev/PATH`. */
export async function testBinary(path: string): Promise<string> {
  const file = join(cache, 'suites', path.replaceAll('/', '-'));
  if (existsSync(file)) return file;
  const source = await wrapper();
  mkdirSync(join(cache, 'suites'), { recursive: true });
  await go(source, 'test', '-c', '-tags=e2e', '-trimpath', '-o', `${file}.new`, `knative.dev/${path}`);
  renameSync(`${file}.new`, file);
  return file;
}

/** A module that only requires Knative's: Go builds no packages of a module that is nobody's dependency. */
async function wrapper(): Promise<string> {
  const folder = join(cache, 'source');
  if (existsSync(join(folder, 'go.sum'))) return folder;
  mkdirSync(folder, { recursive: true });
  const wanted = `knative.dev/serving@${servingVersion}`;
  const downloaded = await go(folder, 'mod', 'download', '-json', wanted).then(JSON.parse);
  const original = readFileSync(join(downloaded.Dir, 'go.mod'), 'utf8');
  const own = original
    .replace(/^module .*$/m, 'module wrapper')
    .replace(/^go .*$/m, (line) => `${line}\n\nrequire knative.dev/serving ${servingVersion}`);
  writeFileSync(join(folder, 'go.mod'), own);
  copyFileSync(join(downloaded.Dir, 'go.sum'), join(folder, 'go.sum'));
  chmodSync(join(folder, 'go.sum'), 0o644);
  return folder;
}

function go(cwd: string, ...args: string[]): Promise<string> {
  const isFirst = !existsSync(join(cwd, 'go.mod'));
  const env = isFirst ? { ...environment, GOFLAGS: '' } : environment;
  return new Promise((resolve, reject) => {
    execFile('go', args, { cwd, env, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`go ${args.slice(0, 2).join(' ')} failed: ${stderr.slice(-4000) || error.message}`));
      else resolve(stdout);
    });
  });
}
