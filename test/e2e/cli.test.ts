import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { NodeKind } from '../../src/api/core/node.ts';
import { RevisionKind } from '../../src/api/serving/revision.ts';
import { ServiceKind } from '../../src/api/serving/service.ts';
import { setAside } from '../../src/server/quarantine-files.ts';
import { eventually, kittiwake, platformOfFile } from '../kit/platform.ts';

const launcher = fileURLToPath(new URL('../../bin/kittiwake', import.meta.url));
const { dataDir, platform } = await platformOfFile();
const apps = mkdtempSync(join(tmpdir(), 'kittiwake-apps-'));
const kw = (...args: string[]) => kittiwake(dataDir, ...args);

after(() => rmSync(apps, { recursive: true, force: true }));

test('a JavaScript server in a folder becomes a URL, which is all that standard output holds', async () => {
  const folder = write('greeter', { 'package.json': '{"name": "@me/greeter"}', 'index.js': server('"hello"') });
  const deployed = await kw('deploy', '--env', 'MOOD=fine', folder);
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.match(deployed.stdout, /^http:\/\/greeter\.default\.localhost:\d+\n$/);
  const steps = deployed.stderr.match(/source uploaded|image in the registry|revision greeter-00001|ready/g);
  assert.deepEqual(steps, ['source uploaded', 'image in the registry', 'revision greeter-00001', 'ready']);

  const reply = await kw('invoke', 'greeter', '-p', '/a?b=1');
  assert.deepEqual([reply.code, reply.stdout], [0, 'hello fine /a?b=1\n']);
  assert.match(reply.stderr, /^HTTP 200 in \d+ ms\n$/);
});

test('an image that is there already becomes a URL without a build', async () => {
  const revision = await platform.client.get(RevisionKind, { namespace: 'default', name: 'greeter-00001' });
  const image = revision?.spec.containers[0]?.image ?? '';
  const deployed = await kw('deploy', '--image', image, '--name', 'copy', '--port', '8181', '--env', 'MOOD=same');
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.match(deployed.stdout, /^http:\/\/copy\.default\.localhost:\d+\n$/);
  assert.doesNotMatch(deployed.stderr, /source uploaded|image in the registry/);
  assert.equal((await kw('invoke', 'copy')).stdout, 'hello same /\n');

  const missing = await kw('deploy', '--image', 'registry.localhost/nothing:1');
  assert.match(missing.stderr, /error: service nothing is not ready: .*not found/);
  const [node] = (await platform.client.list(NodeKind, {})).items;
  const runsProcesses = node?.status?.nodeInfo?.containerRuntimeVersion?.startsWith('process:');
  assert.equal(/most images need a container/.test(missing.stderr), runsProcesses, missing.stderr);
  for (const name of ['nothing', 'copy']) assert.equal((await kw('delete', 'ksvc', name)).code, 0);

  const refused: [args: string[], why: RegExp][] = [
    [['--image', image, apps], /deploy takes a folder or --image, not both/],
    [['--image', image, '--allow-scripts'], /--allow-scripts is for what is built: leave it out with --image/],
    [['--image', image, '--port', '0'], /--port is "0": it must be a number from 1 to 65535/],
    [['--image', 'No Image'], /No Image/],
  ];
  for (const [args, why] of refused) {
    const { code, stderr } = await kw('deploy', ...args);
    assert.equal(code, 1, stderr);
    assert.match(stderr, why);
  }
});

test('a change that does not start says what the app printed, and the previous revision keeps serving', async () => {
  const folder = write('greeter', { 'index.js': 'createServr();' });
  const deployed = await kw('deploy', folder);
  assert.equal(deployed.code, 1);
  assert.equal(deployed.stdout, '');
  assert.match(
    deployed.stderr,
    /revision greeter-00001 keeps serving\nerror: .*RevisionFailed[\s\S]*createServr is not/,
  );
  assert.match((await kw('invoke', 'greeter')).stdout, /hello fine/);
  assert.match(
    (await kw('status')).stdout,
    /default +greeter +False +\d+ +http:\S+ +Revision "greeter-00002" failed.*…\n/,
  );
});

test('a TypeScript function replies, and its log can be read and followed', async () => {
  const handle =
    'export const handle = (_: unknown, body: { n: number }) => { console.log("got", body.n); return body; };';
  const deployed = await kw('deploy', write('echo', { 'index.ts': handle }));
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.equal((await kw('invoke', 'echo', '-d', '{"n": 7}')).stdout, '{"n":7}');
  await eventually('the line in the log', async () => /got 7/.test((await kw('logs', 'echo')).stdout) || undefined);

  const following = spawn(launcher, ['--data-dir', dataDir, 'logs', 'echo', '--follow', '--tail', '1']);
  const lines = createInterface({ input: following.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, 'got 7');
  await kw('invoke', 'echo', '-d', '{"n": 8}');
  assert.match((await lines.next()).value ?? '', /got 8/);
  following.kill('SIGINT');
});

test('an event that is sent reaches a function with a trigger', async () => {
  const func = { 'func.yaml': 'name: taker\ninvoke: cloudevent\n', 'package.json': '{"type": "module"}' };
  const handle = 'export const handle = (context, event) => { console.log("took", event.type, event.data.n); };';
  const folder = write('taker', { ...func, 'index.js': handle });
  assert.equal((await kw('deploy', folder)).code, 0);
  const manifest = write('eventing', { 'app.yaml': eventing });
  assert.equal((await kw('apply', '-f', join(manifest, 'app.yaml'))).code, 0);
  await eventually('the trigger', async () => / True/.test((await kw('get', 'trigger/taker')).stdout) || undefined);

  const sent = await kw('send', '--type', 'thing.made', '--data', '{"n": 3}');
  assert.match(sent.stdout, /^[\w-]{36}\n$/, sent.stderr);
  await eventually('the event', async () => /took thing\.made 3/.test((await kw('logs', 'taker')).stdout) || undefined);
  assert.match((await kw('send', '--type', 't', '--data', '{bad')).stderr, /--data is not JSON: .*--content-type/);
  assert.match((await kw('send', '--type', 't', '--broker', 'none')).stderr, /there is no broker "none"/);
});

test('a build that fails shows its log once, and keeps it', async () => {
  const folder = write('broken', { 'package.json': '{"name": "broken", "main": "gone.js"}' });
  const deployed = await kw('deploy', folder);
  assert.equal(deployed.code, 1);
  assert.equal(deployed.stderr.match(/there is no entry point/g)?.length, 1);
  assert.match(deployed.stderr, /error: the build of broken failed: EntryPointNotFound/);
  assert.match((await kw('logs', 'broken', '--build')).stdout, /there is no entry point/);
});

test('a build that failed for what is not in the folder is made again with the next deploy', async () => {
  const there = join(apps, 'there');
  const manifest = { name: 'later', main: 'index.js', scripts: { build: `test -e ${there}` } };
  const folder = write('later', { 'package.json': JSON.stringify(manifest), 'index.js': server('"fine"') });
  for (let round = 1; round <= 2; round++) {
    const failed = await kw('deploy', folder);
    assert.match(failed.stderr, /error: the build of later failed: CompileFailed/, `round ${round}`);
  }
  writeFileSync(there, '');
  const deployed = await kw('deploy', folder);
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.match(deployed.stderr, /nothing has changed since the last deploy, whose build failed: building again/);
  assert.match((await kw('invoke', 'later')).stdout, /^fine /);
});

test('an app that is mended is deployed, whatever its service still says of the one before', async () => {
  for (let round = 1; round <= 5; round++) {
    const name = `mended-${round}`;
    const broken = await kw('deploy', write(name, { 'index.js': 'console.log("no database"); process.exit(3);' }));
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /error: service .* is not ready: RevisionFailed: [\s\S]*no database/);
    const mended = await kw('deploy', write(name, { 'index.js': server('"fine"') }));
    assert.deepEqual([mended.code, mended.stderr.match(/error: .*/)?.[0]], [0, undefined], `round ${round}`);
    assert.match((await kw('invoke', name)).stdout, /^fine /);
  }
});

test('a build that fails is told also when the traffic has been edited since the one before', async () => {
  const folder = write('edited', { 'index.js': server('"fine"') });
  assert.equal((await kw('deploy', folder)).code, 0);
  const traffic = [{ tag: 'now', latestRevision: true, percent: 100 }];
  const key = { namespace: 'default', name: 'edited' };
  await platform.client.patch(ServiceKind, key, { type: 'merge', patch: { spec: { traffic } } });
  write('edited', { 'package.json': '{"name": "edited", "main": "gone.js"}' });
  rmSync(join(folder, 'index.js'));
  const deployed = await kw('deploy', folder);
  assert.equal(deployed.code, 1);
  assert.match(deployed.stderr, /there is no entry point[\s\S]*error: the build of edited failed: EntryPointNotFound/);
});

test('a service that is not ready in time is an error that says what is missing', async () => {
  const folder = write('deaf', { 'index.js': 'setInterval(() => {}, 1000);' });
  const deployed = await kw('deploy', folder, '--timeout', '7');
  assert.deepEqual([deployed.code, deployed.stdout], [1, '']);
  assert.match(deployed.stderr, /still waiting: 'kittiwake logs deaf' .*it must listen on the port in .* PORT\n/);
  assert.match((await kw('logs', 'deaf')).stderr, /have printed nothing: it is not ready: /);
  assert.match(deployed.stderr, /error: gave up waiting for service deaf: /);
});

test('objects are listed, shown and deleted by any of their names', async () => {
  const names = await kw('get', 'ksvc,triggers', '-o', 'name');
  assert.match(
    names.stdout,
    /service\.serving\.knative\.dev\/greeter\n[\s\S]*trigger\.eventing\.knative\.dev\/taker\n/,
  );
  assert.equal(JSON.parse((await kw('get', 'ksvc', 'echo', '-o', 'json')).stdout).metadata.name, 'echo');
  assert.match((await kw('get', 'ksvc/echo', '-o', 'yaml')).stdout, /^apiVersion: serving\.knative\.dev\/v1\n/);
  assert.match((await kw('get', 'ksvc', '-A')).stdout, /^NAMESPACE +NAME +URL/);
  assert.match((await kw('get', 'thing')).stderr, /there is no kind "thing"/);

  assert.equal((await kw('delete', 'ksvc/deaf')).stdout, 'service "deaf" deleted\n');
  assert.equal((await kw('get', 'ksvc', 'deaf')).code, 1);
  assert.match((await kw('invoke', 'deaf')).stderr, /there is no service deaf in namespace default/);
});

test('what is written wrongly is said before anything happens', async () => {
  const folder = write('fine', { 'index.js': server('1') });
  const cases: [string[], RegExp][] = [
    [['deploy', join(apps, 'none')], /none is not a folder/],
    [['deploy', folder, '--name', '9x'], /--name is "9x": .*starts with a letter/],
    [['deploy', folder, '--env', 'X'], /--env is "X": write NAME=value/],
    [['logs', 'echo', '--tail', 'x'], /--tail is "x"/],
    [['get', 'ksvc', '-o', 'xml'], /Allowed choices are yaml, json, name, wide.*\n.*kittiwake get --help/],
    [['apply', '-f', join(apps, 'none.yaml')], /--filename: there is no file .*none\.yaml/],
    [['send', '--type', 'a', '--data', `@${join(apps, 'none')}`], /@.*none: there is no file .*none/],
    [['deploy', folder, '-n', 'nowhere'], /there is no namespace nowhere: 'kubectl create namespace nowhere' makes it/],
    [['--data-dir', '', 'status'], /^error: --data-dir is empty: name a folder/],
    [['up', '--gateway-port', 'x'], /^error: --gateway-port is "x": a port is a whole number from 0 to 65535/],
    [['up', '--bind-address', '0.0.0.0'], /other machines reach gateway, broker.*--without-credentials/],
    [['up', '--bind-address', 'everywhere'], /--bind-address is "everywhere": an IP address/],
  ];
  for (const [args, message] of cases) {
    const result = await kw(...args);
    assert.equal(result.code, 1, args.join(' '));
    assert.match(result.stderr, message);
  }
});

test('a command that is not there is an error, also when its help is asked for', async () => {
  for (const args of [['statsu'], ['statsu', '--help'], ['help', 'statsu']]) {
    const result = await kw(...args);
    assert.deepEqual([result.code, result.stdout], [1, ''], args.join(' '));
    assert.match(result.stderr, /unknown command 'statsu'\n\(Did you mean status\?\)/);
  }
  assert.equal((await kw('status', '--help')).code, 0);
});

test('an error that names a key in brackets is told with its line, and at once', async () => {
  const folder = write('bracketed', {
    'app.yaml': `apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: bracketed}
spec:
  template:
    metadata:
      annotations:
        autoscaling.knative.dev/minScale: "abc"
    spec: {containers: [{image: "registry.localhost/default/x@sha256:${'0'.repeat(64)}"}]}
`,
  });
  const result = await kw('apply', '-f', join(folder, 'app.yaml'));
  assert.equal(result.code, 1);
  assert.match(result.stderr, /app\.yaml:8: .*annotations\[autoscaling\.knative\.dev\/minScale\]/);
});

test('a kind of any plural is applied, shown and deleted, by all of its names', async () => {
  const folder = write('sea', { 'definition.yaml': octopodes, 'octopus.yaml': anOctopus });
  const manifest = (file: string) => kw('apply', '-f', join(folder, file));
  assert.match(
    (await manifest('octopus.yaml')).stderr,
    /octopus\.yaml:2: there is no kind Octopus in sea\.example\.dev\/v1/,
  );
  assert.equal((await manifest('definition.yaml')).code, 0);
  const applied = await eventually('the kind', async () => {
    const { code, stdout } = await manifest('octopus.yaml');
    return code === 0 ? stdout : undefined;
  });
  assert.equal(applied, 'octopus.sea.example.dev/ottie created\n');
  for (const name of ['octopodes', 'octopus', 'octo']) assert.match((await kw('get', name)).stdout, /ottie/);
  assert.equal((await kw('delete', 'octopus', 'ottie')).stdout, 'octopus "ottie" deleted\n');
  assert.equal((await kw('delete', '-f', join(folder, 'octopus.yaml'))).stdout, 'octopus "ottie" was not there\n');
});

test('of a folder all manifests are applied, in the order of their names; -R looks into its folders', async () => {
  const map = (name: string) => `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "${name}"}}`;
  const folder = write('manifests', {
    'b.json': map('b'),
    'a.yaml': map('a'),
    'c.yml': map('c'),
    'notes.txt': 'none',
    'inner/d.yaml': map('d'),
  });
  execFileSync('mkfifo', [join(folder, 'pipe.yaml')]); // Nobody writes to it: reading it would wait for ever.
  const flat = await kw('apply', '-f', folder);
  assert.deepEqual([flat.code, flat.stdout], [0, 'configmap/a created\nconfigmap/b created\nconfigmap/c created\n']);
  const deep = await kw('apply', '-R', '-f', folder);
  assert.match(deep.stdout, /configmap\/c unchanged\nconfigmap\/d created\n$/);
  const deleted = await kw('delete', '-R', '-f', folder);
  assert.match(deleted.stdout, /^configmap "d" deleted\n[\s\S]*configmap "a" deleted\n$/);
  const empty = await kw('apply', '-f', write('no-manifests', { 'notes.txt': '' }));
  assert.match(empty.stderr, /no-manifests has no file that ends in \.yaml, \.yml or \.json \(-R looks/);
});

test('a manifest of wrong types, or of more than there can be, is refused with file, line and value', async () => {
  const head = 'apiVersion: v1\nkind: ConfigMap\n';
  const service = 'apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: a}\n';
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
  for (const [i, key] of [...'bcdefghi'].entries()) {
    bomb.push(`${key}: &${key} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(', ')}]`);
  }
  const table: [string, RegExp][] = [
    ['just text\n', /app\.yaml:1: this is "just text": an object has apiVersion/],
    ['---\n- a\n', /app\.yaml:2: this is \["a"\]/],
    [`${head}metadata: 5\n`, /app\.yaml:3: metadata is 5/],
    [`${head}metadata: {name: 5}\n`, /app\.yaml:3: metadata\.name is 5: it must be text/],
    [`${head}metadata: {name: a, namespace: [x]}\n`, /app\.yaml:3: metadata\.namespace is \["x"\]/],
    ['apiVersion: 1\nkind: x\n', /app\.yaml:1: apiVersion is 1/],
    [`${head}${bomb.join('\n')}\n`, /app\.yaml:9:16: with the alias \*f, aliases stand for more than/],
    [`${head}metadata: &m\n  name: *m\n`, /app\.yaml:4:9: the alias \*m stands for a value that holds it/],
    [`a: ${'['.repeat(100_000)}`, /app\.yaml:1:\d+: nesting exceeded/],
    [`${head}metadata: {name: "a\0"}\n`, /app\.yaml:3:\d+: null byte/],
    [`${head}kind: Secret\n`, /app\.yaml:3:1: duplicated mapping key/],
    [`${head}metadata: !!js/function x\n`, /app\.yaml:3:11: unknown scalar tag/],
    [
      `${service}spec:\n  build:\n    source:\n      folder: 5\n`,
      /app\.yaml:7: spec\.build\.source\.folder is 5: it must be a path/,
    ],
  ];
  for (const [text, message] of table) {
    const result = await kw('apply', '-f', join(write('hostile', { 'app.yaml': text }), 'app.yaml'));
    assert.deepEqual([result.code, result.stdout], [1, ''], text.slice(0, 80));
    assert.match(result.stderr, message);
    assert.doesNotMatch(result.stderr, /\n {4}at /, 'no stack trace');
  }
  const endless = spawn('sh', ['-c', `yes '# more' | "$0" --data-dir "$1" apply -f -`, launcher, dataDir]);
  let said = '';
  endless.stderr.on('data', (text) => {
    said += text;
  });
  const [code] = await once(endless, 'close');
  assert.deepEqual([code, said], [1, 'error: standard input is larger than 32 MiB: give less\n']);
});

test('whoever reads only the beginning, or presses Ctrl-C, sees no error', async () => {
  const piped = `"$0" --data-dir "$1" get crds -o yaml | head -1`;
  const { stdout, stderr } = await promisify(execFile)('sh', ['-c', piped, launcher, dataDir]);
  assert.deepEqual([stdout, stderr], ['apiVersion: apiextensions.k8s.io/v1\n', '']);

  // So that it has a pod, and a line in its log, however long the tests before this took.
  await kw('invoke', 'echo', '-d', '{"n": 9}');
  const following = spawn(launcher, ['--data-dir', dataDir, 'logs', 'echo', '--follow', '--tail', '1']);
  let said = '';
  following.stderr.on('data', (text) => {
    said += text;
  });
  await once(following.stdout, 'data');
  following.kill('SIGINT');
  const [code, signal] = await once(following, 'close');
  assert.deepEqual([code, signal, said], [null, 'SIGINT', '']); // A shell makes 130 of it.
});

test('a service that says nothing is waited for as long as asked', async () => {
  const silent = 'require("http").createServer(() => {}).listen(process.env.PORT);';
  assert.equal((await kw('deploy', write('silent', { 'index.js': silent }))).code, 0);
  const result = await kw('invoke', 'silent', '--timeout', '0.5');
  assert.deepEqual([result.code, result.stdout], [1, '']);
  assert.match(result.stderr, /service silent was silent for 0\.5 s: see 'kittiwake logs silent'/);
  for (const timeout of ['0', '-1', 'x', '1e9'])
    assert.match(
      (await kw('invoke', 'silent', '--timeout', timeout)).stderr,
      /--timeout is ".*": give seconds above 0/,
    );
});

test('status names the roles and what is set aside, with the way back; its exit code says if all is well', async () => {
  const well = await kw('status');
  assert.equal(well.code, 0, well.stdout);
  for (const role of ['control', 'gateway', 'broker']) assert.match(well.stdout, new RegExp(`${role} +yes +\\d+\n`));
  assert.doesNotMatch(well.stdout, /set aside/);

  const since = new Date().toISOString();
  const name = "event default/it's one";
  setAside(dataDir, { role: 'broker', name, reason: 'exit code 1: Error: x\n  at y', times: 2, since });
  setAside(dataDir, { role: 'control', name: 'revision default/a', reason: 'it did not answer', times: 2, since });
  const unwell = await kw('status');
  assert.equal(unwell.code, 2);
  assert.match(unwell.stdout, /broker: event default\/it's one, 2 times, since 20.*: exit code 1: Error: x …\n/);
  const command = /give it back with kittiwake release (broker .*)\n/.exec(unwell.stdout)?.[1];
  assert.equal(command, "broker 'event default/it'\\''s one'");

  assert.match(
    (await kw('release', 'broker', 'nothing')).stderr,
    /"nothing" of the broker role is not set aside: these/,
  );
  assert.match(
    (await kw('release', 'porter', 'x')).stderr,
    /no role "porter": it is one of control, gateway, broker, network/,
  );
  assert.match((await kw('release', 'broker')).stderr, /say what to give back/);
  assert.equal((await kw('broker', 'release', name)).stdout, `${name} given back to the broker role\n`);
  assert.match((await kw('release', 'control', 'revision', 'default/a')).stdout, /given back to the control role/);
  assert.equal((await kw('status')).code, 0);
  assert.match((await kw('release', 'control', '--all')).stderr, /nothing of the control role is set aside/);
});

test('doctor checks the machine, each on a line', async () => {
  const { stdout } = await kw('doctor');
  assert.match(stdout, /^ok {3}Node\.js >= 24\.12: v\d+/);
  assert.match(stdout, /ok {3}data folder: /);
  assert.match(stdout, /ok {3}ports: in use by the running platform/);
});

const octopodes = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: octopodes.sea.example.dev}
spec:
  group: sea.example.dev
  scope: Namespaced
  names: {kind: Octopus, plural: octopodes, singular: octopus, shortNames: [octo]}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
`;

const anOctopus = 'apiVersion: sea.example.dev/v1\nkind: Octopus\nmetadata: {name: ottie}\n';

const eventing = `
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: default}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: taker}
spec:
  broker: default
  filter: {attributes: {type: thing.made}}
  subscriber: {ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: taker}}
`;

function server(greeting: string): string {
  return `const reply = (q, r) => r.end(${greeting} + ' ' + process.env.MOOD + ' ' + q.url + '\\n');
require('http').createServer(reply).listen(process.env.PORT);`;
}

function write(name: string, files: Record<string, string>): string {
  const folder = join(apps, name);
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
  return folder;
}
