/** An unmodified kubectl against the whole platform: from a manifest to a service that answers. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { fetchThroughGateway } from '../kit/gateway.ts';
import { newDataDir, startTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { isKubectlThere, kubectlProgram, kubectlTest } from './cluster.ts';

const { dataDir, remove } = newDataDir();
let platform: TestPlatform;
before(async () => {
  if (isKubectlThere) platform = await startTestPlatform(dataDir);
});
after(async () => {
  await platform?.stop();
  remove();
});

const server = (reply: string) => `import { createServer } from 'node:http';
console.log('greetings');
createServer((request, response) => response.end('${reply}')).listen(process.env.PORT);
`;

const manifest = (reply: string) => `apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: greeter
spec:
  build:
    source:
      files:
        package.json: '{"type": "module", "main": "server.js"}'
        server.js: |
          ${server(reply).replaceAll('\n', '\n          ')}
  template:
    spec:
      containers:
        - image: build://output
`;

function kubectl(...args: string[]): Promise<string> {
  const all = ['--kubeconfig', platform.addresses.kubeconfig, ...args];
  return new Promise((resolve, reject) => {
    execFile(kubectlProgram, all, { timeout: 60_000 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`kubectl ${args.join(' ')}: ${stderr}`, { cause: error }));
      else resolve(stdout);
    });
  });
}

function apply(text: string): Promise<string> {
  const file = join(dataDir, 'greeter.yaml');
  writeFileSync(file, text);
  return kubectl('apply', '-f', file);
}

kubectlTest('apply -f creates a service that wait sees become ready, and that answers', async () => {
  assert.match(await apply(manifest('hello')), /service.serving.knative.dev\/greeter created/);
  await kubectl('wait', '--for=condition=Ready', 'ksvc/greeter', '--timeout=60s');
  assert.equal((await fetchThroughGateway(platform, 'greeter')).body, 'hello');
});

kubectlTest('get ksvc and get revisions show what a user of Knative expects', async () => {
  const services = await kubectl('get', 'ksvc');
  assert.match(services, /^NAME +URL +LATESTCREATED +LATESTREADY +READY +REASON *\n/);
  assert.match(services, /greeter +http:\/\/greeter\.default\.localhost:\d+ +greeter-00001 +greeter-00001 +True/);
  const revisions = await kubectl('get', 'revisions');
  assert.match(revisions, /^NAME +CONFIG NAME +GENERATION +READY +REASON +ACTUAL REPLICAS +DESIRED REPLICAS *\n/);
  assert.match(revisions, /greeter-00001 +greeter +1 +True/);
});

kubectlTest('describe tells the conditions and the events of a pod', async () => {
  assert.match(await kubectl('describe', 'ksvc', 'greeter'), /Type: +ConfigurationsReady/);
  const pod = await kubectl('describe', 'pod', '-l', 'serving.knative.dev/service=greeter');
  assert.match(pod, /user-container:/);
  assert.match(pod, /Started container user-container/);
});

kubectlTest('logs shows what the service printed', async () => {
  assert.match(await kubectl('logs', '-l', 'serving.knative.dev/service=greeter'), /greetings/);
});

kubectlTest('a change of the source becomes a second revision that takes over', async () => {
  await apply(manifest('hello again'));
  await kubectl(
    'wait',
    '--for=jsonpath={.status.latestReadyRevisionName}=greeter-00002',
    'ksvc/greeter',
    '--timeout=60s',
  );
  await kubectl('wait', '--for=condition=Ready', 'ksvc/greeter', '--timeout=60s');
  assert.equal((await fetchThroughGateway(platform, 'greeter')).body, 'hello again');
});

kubectlTest('delete removes the service with all that it owns', async () => {
  await kubectl('delete', 'ksvc', 'greeter');
  await kubectl('wait', '--for=delete', 'pod', '-l', 'serving.knative.dev/service=greeter', '--timeout=30s');
  assert.equal(await kubectl('get', 'configurations,revisions,routes,deployments,pods', '-o', 'name'), '');
});
