/** The rules of the house that a machine can check (CONTRIBUTING.md explains them). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { platformKinds } from '../src/api/platform.ts';
import { mutantsOf } from './mutation/mutants.ts';
import { survivors } from './mutation/survivors/index.ts';
import { mutants as powerLossMutants } from './power-loss/mutants.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (file: string) => readFileSync(root + file, 'utf8');
const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(root + file));
const sources = tracked.filter((file) => /\.(ts|js|mjs)$/.test(file));
/** What only tests run: tests, the folder test/, and the folders `testing/` beside the code that they are for. */
const isTest = (file: string) => /\.test\.ts$|^test\/|\/testing\//.test(file);

/** A folder of src/ imports only from itself and from those before it. */
const floors = [
  ...['lib', 'observe', 'api', 'kube', 'registry', 'feature', 'serving', 'gateway'],
  ...['build', 'eventing', 'functions', 'cluster', 'server', 'cli'],
];
const belowTheSeam = { folder: 'cluster', mayImport: ['lib', 'observe', 'api', 'kube', 'registry', 'cluster'] };

/** Files longer than 500 lines, each with the reason why splitting would make it worse. */
const longFiles: Record<string, string> = {};

function importsOf(file: string): string[] {
  const pattern = /(?:^|\n)\s*(?:import|export)\b[^;'"]*?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;
  return [...read(file).matchAll(pattern)].map((match) => match[1] ?? match[2] ?? '');
}

/** The file that a relative import of `file` leads to. */
const resolved = (file: string, specifier: string) => new URL(specifier, `file:///${file}`).pathname.slice(1);

/** The top folder under src/ that a relative import of `file` leads to. */
function folderOf(file: string, specifier: string): string | undefined {
  const path = resolved(file, specifier);
  return path.startsWith('src/') ? path.split('/')[1] : undefined;
}

test('imports run downwards, and nothing above the seam imports cluster/', () => {
  const upward = [];
  for (const file of sources.filter((f) => f.startsWith('src/') && !isTest(f))) {
    const from = file.split('/')[1] ?? '';
    for (const specifier of importsOf(file).filter((s) => s.startsWith('.'))) {
      const to = folderOf(file, specifier);
      if (to === undefined) continue;
      const allowed =
        from === belowTheSeam.folder
          ? belowTheSeam.mayImport.includes(to)
          : floors.indexOf(to) <= floors.indexOf(from) &&
            (to !== belowTheSeam.folder || ['server', 'cli'].includes(from));
      if (!allowed) upward.push(`${file} imports ${specifier}`);
    }
  }
  assert.deepEqual(upward, []);
});

test('the embedded Kubernetes names no kind of the platform: features bring theirs', () => {
  const groups = new Set(platformKinds.map((kind) => kind.group));
  const inside = sources.filter((file) => file.startsWith('src/cluster/') && !isTest(file));
  const naming = inside.flatMap((file) => [
    ...[...groups, 'knative'].filter((group) => read(file).includes(group)).map((group) => `${file} names ${group}`),
    ...importsOf(file)
      .filter((s) => /api\/(platform|find-kind)\.ts$/.test(s))
      .map((s) => `${file} imports ${s}`),
  ]);
  assert.deepEqual(naming, []);
});

/** Where the API server may know resources by name: what they do, who may do so, and a Service that it keeps itself. */
const knowsResources = /^src\/cluster\/apiserver\/(strategies|crds|rbac)\/|\/system-services\.ts$/;

test('the generic code of the API server knows no resource by name: strategies do', () => {
  const generic = sources.filter(
    (file) => file.startsWith('src/cluster/apiserver/') && !knowsResources.test(file) && !isTest(file),
  );
  const naming = generic.flatMap((file) => [
    ...importsOf(file)
      .filter((specifier) => /\/api\/[^/]+\/[^/]+\.ts$/.test(specifier))
      .map((specifier) => `${file} imports ${specifier}`),
    ...(read(file).match(/\b(kind|plural|table|subresource) [!=]== '\w+'/g) ?? []).map((text) => `${file}: ${text}`),
  ]);
  assert.deepEqual(naming, []);
});

test('what the API server has is reached through its door: over HTTP, or as a Client of its process', () => {
  const ours = sources.filter((file) => file.startsWith('src/') && !isTest(file));
  assert.deepEqual(
    ours.filter((file) => /\bauthorize\(policy|\bauthorize\(pipeline/.test(read(file))),
    [
      'src/cluster/apiserver/client.ts',
      'src/cluster/apiserver/http/router.ts',
      'src/cluster/apiserver/authorize.ts',
    ].sort(),
  );
  const around = ours.filter((file) => !file.startsWith('src/cluster/apiserver/') && /\.pipeline\b/.test(read(file)));
  assert.deepEqual(around, []);
});

test('only the substrate that embeds a Kubernetes imports it into the server', () => {
  const above = sources.filter((file) => file.startsWith('src/server/') && !isTest(file));
  const importing = above.filter((file) => importsOf(file).some((s) => folderOf(file, s) === belowTheSeam.folder));
  assert.deepEqual(
    importing.filter((file) => !file.startsWith('src/server/embedded/')),
    [],
  );
  const asking = sources.filter((file) => !isTest(file) && /\bsubstrate [!=]==/.test(read(file)));
  assert.deepEqual(asking, [], 'substrate.ts chooses by name, and nobody else asks');
});

test('an exchange knows no protocol: protocols.ts alone knows which there are', () => {
  // Header fields as lines, and bounds of heads, are everybody's words.
  const shared = ['./http1/fields.ts', './http1/limits.ts'];
  const files = tracked.filter((file) => /^src\/gateway\/[a-z-]+\.ts$/.test(file) && !isTest(file));
  const knowing = files
    .filter((file) => file !== 'src/gateway/protocols.ts')
    .flatMap((file) => importsOf(file).map((specifier) => ({ file, specifier })))
    .filter(({ specifier }) => specifier.startsWith('./http1/') && !shared.includes(specifier));
  assert.deepEqual(knowing, []);
});

test('HTTP is talked to others in one way: src/lib/http-client.ts, beside the gateway', () => {
  const asks =
    /import \{[^}]*\b(request|get|[A-Za-z]*Agent)\b[^}]*\} from '[^']*(node:https?|node-http\.ts)'|\bawait fetch\(/;
  const asking = sources.filter((file) => file.startsWith('src/') && !isTest(file) && asks.test(read(file)));
  assert.deepEqual(asking, ['src/lib/http-client.ts']);
});

test('a driver of pods is known to one file only: drivers/choose.ts', () => {
  const inside = /^src\/cluster\/node\/drivers\/[^/]+\//;
  const wrong = sources
    .filter((file) => file.startsWith('src/') && file !== 'src/cluster/node/drivers/choose.ts')
    .flatMap((file) =>
      importsOf(file)
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => resolved(file, specifier))
        .filter((target) => inside.test(target) && !file.startsWith(inside.exec(target)?.[0] ?? ''))
        .map((target) => `${file} imports ${target}`),
    );
  assert.deepEqual(wrong, []);
});

test('nobody but the composition root knows which event log it is', () => {
  const folder = /^src\/eventing\/backends\/[^/]+\//;
  const others = sources.filter((f) => f.startsWith('src/') && !folder.test(f) && !isTest(f));
  const knowing = others.filter((file) =>
    importsOf(file).some((s) => s.startsWith('.') && folder.test(resolved(file, s))),
  );
  assert.deepEqual(knowing, ['src/server/broker.ts']);
});

test('the dispatcher and the event logs know nothing of brokers', () => {
  const knowing = sources
    .filter((file) => /^src\/eventing\/(?:dispatcher|backends|filters)\//.test(file) && !isTest(file))
    .filter((file) =>
      importsOf(file).some((s) => s.startsWith('.') && resolved(file, s).startsWith('src/eventing/broker/')),
    );
  assert.deepEqual(knowing, []);
});

/** All files that running `file` loads, at once or when it needs them: its imports but for types, and theirs. */
function loadedBy(file: string, when: 'ever' | 'at once' = 'ever', found = new Set<string>()): Set<string> {
  if (found.has(file) || !/\.(ts|js|mjs)$/.test(file) || !existsSync(root + file)) return found;
  found.add(file);
  const pattern =
    /(?:^|\n)(?:import|export)\s(?!type\b)(?:[^;'"]*?\sfrom\s)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;
  for (const [, from, dynamic] of read(file).matchAll(pattern)) {
    const specifier = from ?? (when === 'ever' ? dynamic : undefined) ?? '';
    if (specifier.startsWith('.')) loadedBy(resolved(file, specifier), when, found);
  }
  return found;
}

test('a role loads what it needs: start-up is mostly loading', () => {
  for (const role of ['gateway', 'broker']) {
    const loaded = [...loadedBy(`src/server/${role}.ts`, 'at once')];
    const unused = /^src\/(api\/(platform|apiextensions\/)|cluster\/|server\/cluster\/)/;
    assert.deepEqual([role, ...loaded.filter((file) => unused.test(file))], [role]);
  }
  const whole = sources.filter((file) => importsOf(file).includes('prom-client') && !file.endsWith('.d.ts'));
  assert.deepEqual(whole, [], 'prom-client as a whole brings 80 modules along');
});

test('kinds with living conditions are reconciled in phases, and conditions keep their own times', () => {
  const product = sources.filter((file) => file.startsWith('src/') && !isTest(file));
  assert.deepEqual(
    product.filter((file) => /\bconditions\.manage\(/.test(read(file))),
    // A build takes longer than a reconcile should, and writes its status itself.
    ['src/build/status.ts', 'src/kube/phases.ts'],
  );
  assert.deepEqual(
    product.filter((file) => /\blastTransitionTime: (?!string\()/.test(read(file))),
    // What a node says of itself begins with its process.
    ['src/cluster/node/node-object.ts', 'src/kube/conditions.ts'],
  );
});

test('our JSON files are read and written in one way', () => {
  const byHand = /JSON\.parse\((await )?readFile|\breplaceFile(Async)?\([^;]*JSON\.stringify/;
  const product = sources.filter((file) => file.startsWith('src/') && !isTest(file) && byHand.test(read(file)));
  assert.deepEqual(product, [
    'src/build/packs/node/package-manager.ts',
    // One that is there and damaged is not taken for none.
    'src/eventing/broker/known.ts',
    'src/lib/json-file.ts',
  ]);
});

test('values are compared, and groups of processes ended, in one way', () => {
  const product = sources.filter((file) => file.startsWith('src/') && !isTest(file));
  const matching = (pattern: RegExp) => product.filter((file) => pattern.test(read(file)));
  assert.deepEqual(matching(/isDeepStrictEqual|JSON\.stringify\([^)]*\) [!=]== JSON\.stringify/), []);
  assert.deepEqual(matching(/\.kill\(-/), ['src/lib/processes.ts']);
});

test('Events are recorded in one place, and nobody but the API server deletes them', () => {
  const product = sources.filter((file) => file.startsWith('src/') && !isTest(file));
  assert.deepEqual(
    product.filter((file) => /\b(create|update|patch|delete)\(EventKind\b/.test(read(file))),
    ['src/kube/events.ts'],
  );
});

test('what builds is not even loaded by the control process: it cannot pack, whatever comes', () => {
  const building = /^src\/build\/(build-image|packs\/|layers\/|source\/)/;
  assert.deepEqual(
    [...loadedBy('src/server/control.ts')].filter((file) => building.test(file)),
    [],
  );
  assert.ok([...loadedBy('src/build/worker/main.ts')].some((file) => building.test(file)));
});

test('of the gateway, only limits, demand and the informers know of Serving', () => {
  const knowing = sources
    .filter((file) => file.startsWith('src/gateway/') && !isTest(file))
    .filter((file) => importsOf(file).some((specifier) => /\/serving\//.test(specifier)));
  assert.deepEqual(knowing, [
    'src/gateway/demand.ts',
    'src/gateway/routes/informers.ts',
    'src/gateway/routes/revision-limits.ts',
  ]);
});

test('a language of builds is known to one file only: packs/list.ts', () => {
  const inside = /^src\/build\/packs\/[^/]+\//;
  const others = sources.filter((file) => file.startsWith('src/') && !isTest(file) && !inside.test(file));
  const knowing = others.filter((file) =>
    importsOf(file).some((s) => s.startsWith('.') && inside.test(resolved(file, s))),
  );
  assert.deepEqual(knowing, ['src/build/packs/list.ts']);
});

test('every folder of src/ has its place in the order of imports', () => {
  assert.deepEqual(
    readdirSync(`${root}src`).filter((folder) => !floors.includes(folder)),
    [],
  );
});

test('runtimes/ and examples/ never import src/', () => {
  const inside = sources.filter((f) => f.startsWith('runtimes/') || f.startsWith('examples/'));
  const wrong = inside.filter((file) => importsOf(file).some((s) => s.includes('/src/') && s.startsWith('../..')));
  assert.deepEqual(
    wrong.filter((file) => !isTest(file)),
    [],
  );
});

test('every runtime dependency has its reason in docs/adr', () => {
  const { dependencies, optionalDependencies } = JSON.parse(read('package.json'));
  const reasons = readdirSync(`${root}docs/adr`)
    .map((file) => read(`docs/adr/${file}`))
    .join('\n');
  const unexplained = Object.keys({ ...dependencies, ...optionalDependencies }).filter(
    (name) => !reasons.includes(`\`${name}\``),
  );
  assert.deepEqual(unexplained, []);
});

test('no dependency runs a script when it is installed', () => {
  const lock = JSON.parse(read('package-lock.json'));
  const withScripts = Object.entries<{ hasInstallScript?: boolean }>(lock.packages).filter(
    ([, p]) => p.hasInstallScript,
  );
  assert.deepEqual(
    withScripts.map(([name]) => name),
    [],
  );
});

test('lockfiles carry no addresses of registries', () => {
  const withAddresses = tracked.filter((f) => f.endsWith('package-lock.json') && read(f).includes('"resolved": "http'));
  assert.deepEqual(withAddresses, []);
});

test('files have at most 500 lines, and lines at most 120 characters', () => {
  const code = sources.filter((file) => !file.includes('fixtures/'));
  const long = code.filter((file) => read(file).split('\n').length > 501 && !(file in longFiles));
  const wide = code.flatMap((file) =>
    read(file)
      .split('\n')
      .flatMap((line, i) => (line.length > 120 ? [`${file}:${i + 1}`] : [])),
  );
  assert.deepEqual({ long, wide }, { long: [], wide: [] });
});

test('no product code imports what is only for tests', () => {
  const product = sources.filter((file) => /^(src|runtimes)\//.test(file) && !isTest(file));
  const wrong = product.flatMap((file) =>
    importsOf(file)
      .filter((specifier) => /(^|\/)testing\/|\.test\.ts$|\.\.\/test\//.test(specifier))
      .map((specifier) => `${file} imports ${specifier}`),
  );
  assert.deepEqual(wrong, []);
});

test('no async function is a callback of what does not wait for it: its rejection would end the process', () => {
  const callers =
    /(\.(on|once|addListener|addEventListener|forEach)|\b(setTimeout|setInterval|setImmediate|createServer))$/;
  const product = sources.filter((file) => /^(src|runtimes)\//.test(file) && !isTest(file));
  const wrong = product.flatMap((file) =>
    [...read(file).matchAll(/([.\w]+)\((?:[^()]|\([^()]*\))*?\basync\b(?! \*)/g)]
      .filter((match) => callers.test(match[1] ?? ''))
      .map((match) => `${file}: ${match[0].split('\n')[0]}`),
  );
  assert.deepEqual(wrong, []);
});

test('a promise that nobody waits for has its reason beside it', () => {
  const product = sources.filter((file) => /^(src|runtimes)\//.test(file) && !isTest(file));
  const bare = product.flatMap((file) => {
    const lines = read(file).split('\n');
    return lines.flatMap((line, i) => {
      const hasReason = [line, lines[i - 1]].some((near) => near?.includes('// '));
      return /\bvoid [a-z#(]/.test(line) && !hasReason ? [`${file}:${i + 1}`] : [];
    });
  });
  assert.deepEqual(bare, []);
});

test('hooks of unit tests belong to a suite: all files run in one process', () => {
  const unit = sources.filter((f) => f.endsWith('.test.ts') && !/^test\/(e2e|kubectl|hostile)\//.test(f));
  const loose = unit.filter((file) => /^(before|after|beforeEach|afterEach)\(/m.test(read(file)));
  assert.deepEqual(loose, []);
});

test('only the command line prints with console', () => {
  const printing = sources.filter(
    (f) => f.startsWith('src/') && !f.startsWith('src/cli/') && !isTest(f) && /\bconsole\.\w+\(/.test(read(f)),
  );
  assert.deepEqual(printing, []);
});

test('every error code is documented, and stands in one part of the catalogue', async () => {
  const parts = tracked.filter((file) => /^src\/.*\/errors\.ts$/.test(file) && read(file).includes('defineErrors('));
  const modules = await Promise.all(parts.map((file): Promise<object> => import(root + file)));
  const catalogues = modules.flatMap((module) => Object.entries(module).filter(([name]) => name.endsWith('Errors')));
  const codes = catalogues.flatMap(([, errors]) => Object.keys(errors)).filter((code) => /^[A-Z_]+$/.test(code));
  assert.ok(codes.length > 20);
  assert.equal(new Set(codes).size, codes.length);
  const page = read('docs/reference/errors.md');
  assert.deepEqual(
    codes.filter((code) => !page.includes(`## ${code}\n`)),
    [],
  );
});

test('every suite is in CONTRIBUTING.md', () => {
  const suites = Object.keys(JSON.parse(read('package.json')).scripts).filter((name) => name.startsWith('test:'));
  const page = read('CONTRIBUTING.md');
  assert.deepEqual(
    suites.filter((name) => !page.includes(`\`npm run ${name}\``)),
    [],
  );
});

test('mutants that are named still have their lines: those of the power-loss suite, and survivors', () => {
  const quoted = Object.values(powerLossMutants).flatMap((mutants) => Object.values(mutants));
  const stale = quoted.filter(({ file, from }) => read(file).split(from).length !== 2);
  assert.deepEqual(stale, [], 'the text that the mutant replaces stands once in its file');
  const changesOf = (file: string) =>
    new Set(existsSync(root + file) ? mutantsOf(read(file)).map(({ before, after }) => `${before}\n${after}`) : []);
  const changes = new Map([...new Set(survivors.map(({ file }) => file))].map((file) => [file, changesOf(file)]));
  const gone = survivors.filter(({ file, before, after }) => !changes.get(file)?.has(`${before}\n${after}`));
  assert.deepEqual(gone, [], 'remove the reason, or give it the line as it is now');
});

test('every example is run by a test', () => {
  const testText = tracked
    .filter((f) => f.startsWith('test/e2e/'))
    .map(read)
    .join('\n');
  const examples = readdirSync(`${root}examples`, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.deepEqual(
    examples.map((e) => e.name).filter((name) => !testText.includes(`examples/${name}`)),
    [],
  );
});
