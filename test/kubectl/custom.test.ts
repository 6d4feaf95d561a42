/** CustomResourceDefinitions and the platform's own kinds; wrong input. */
import assert from 'node:assert/strict';
import { kubectlTest, openKubectlCluster } from './cluster.ts';

const cluster = openKubectlCluster();
const { ok, okWith, run, runWith } = cluster;

const definition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'flowers.garden.example.com' },
  spec: {
    group: 'garden.example.com',
    scope: 'Namespaced',
    names: { plural: 'flowers', singular: 'flower', kind: 'Flower', shortNames: ['fl'], categories: ['plants'] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {}, scale: { specReplicasPath: '.spec.count', statusReplicasPath: '.status.count' } },
        additionalPrinterColumns: [
          { name: 'Color', type: 'string', jsonPath: '.spec.color' },
          { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
          { name: 'Count', type: 'integer', jsonPath: '.spec.count', priority: 1 },
          { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
        ],
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                required: ['color'],
                properties: {
                  color: { type: 'string', description: 'What bees see.', enum: ['red', 'blue'] },
                  count: { type: 'integer', minimum: 0, default: 1 },
                },
              },
              status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
            },
          },
        },
      },
    ],
  },
};

const flower = (name: string, spec: object) => ({
  apiVersion: 'garden.example.com/v1',
  kind: 'Flower',
  metadata: { name },
  spec,
});

kubectlTest('a definition is established, and its objects are created, shown, scaled and explained', async () => {
  await okWith(definition, 'apply');
  await ok('wait', '--for=condition=Established', 'crd/flowers.garden.example.com', '--timeout=10s');
  assert.equal(await okWith(flower('rose', { color: 'red' }), 'apply'), 'flower.garden.example.com/rose created\n');
  assert.equal(await okWith(flower('rose', { color: 'red' }), 'apply'), 'flower.garden.example.com/rose unchanged\n');
  assert.match(await ok('get', 'fl'), /^NAME +COLOR +READY +AGE\nrose +red +\d+s\n$/);
  assert.match(await ok('get', 'plants', '-o', 'wide'), /COLOR +READY +COUNT +AGE\n.*rose +red +1 /);
  await ok(
    'patch',
    'flower',
    'rose',
    '--subresource=status',
    '--type=merge',
    '-p',
    '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}',
  );
  assert.match(await ok('get', 'flowers'), /rose +red +True /);
  await ok('wait', '--for=condition=Ready', 'flower/rose', '--timeout=10s');
  await ok('scale', 'flower', 'rose', '--replicas=5');
  assert.equal(await ok('get', 'flower', 'rose', '-o', 'jsonpath={.spec.count}'), '5');
  assert.match(await ok('explain', 'flower.spec.color'), /What bees see/);
});

kubectlTest('an invalid object is refused with the field, the value and what is allowed', async () => {
  await okWith(definition, 'apply');
  const { code, stderr } = await runWith(flower('tulip', { color: 'green', count: -1 }), 'create');
  assert.equal(code, 1);
  assert.match(stderr, /The Flower "tulip" is invalid/);
  assert.match(stderr, /spec\.color: Unsupported value: "green": supported values: "red", "blue"/);
  assert.match(stderr, /spec\.count: Invalid value: -1: .*should be greater than or equal to 0/);
  assert.match((await runWith(flower('tulip', {}), 'create')).stderr, /spec\.color: Required value/);
});

kubectlTest('unknown and repeated fields are named with their paths, for custom and built-in kinds', async () => {
  await okWith(definition, 'apply');
  const custom = await runWith(flower('lily', { color: 'red', colour: 'red', sice: 1 }), 'create');
  assert.match(custom.stderr, /strict decoding error: .*unknown field "spec\.colour", unknown field "spec\.sice"/);
  const builtin = await runWith(
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'odd', lables: {} }, dtaa: {} },
    'create',
  );
  assert.match(builtin.stderr, /unknown field "dtaa"/);
  assert.match(builtin.stderr, /unknown field "metadata\.lables"/);
  const warned = await runWith(flower('lily', { color: 'red', colour: 'red' }), 'create', '--validate=warn');
  assert.equal(warned.code, 0);
  assert.match(warned.stderr, /Warning: unknown field "spec\.colour"/);
});

kubectlTest('apply --server-side says that it is not offered yet, and what to do', async () => {
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'shared' }, data: { a: '1' } };
  const { code, stderr } = await runWith(map, 'apply', '--server-side');
  assert.equal(code, 1);
  assert.match(stderr, /server-side apply is not supported yet: use kubectl apply without --server-side/);
});

kubectlTest("the platform's kinds are definitions like any other, with their columns", async () => {
  const service = {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name: 'hello' },
    spec: { template: { spec: { containers: [{ image: 'registry.localhost/a/b:1' }] } } },
  };
  assert.equal(await okWith(service, 'apply'), 'service.serving.knative.dev/hello created\n');
  const version = ['get', 'ksvc', 'hello', '-o', 'jsonpath={.metadata.resourceVersion} {.metadata.generation}'];
  const before = await ok(...version);
  await okWith(service, 'apply');
  assert.equal(await ok(...version), before);
  assert.match(await ok('get', 'ksvc'), /^NAME +URL +LATESTCREATED +LATESTREADY +READY +REASON( +AGE)?\nhello /);
  assert.match(await ok('get', 'crd'), /services\.serving\.knative\.dev +\d{4}-/);
  assert.match(await ok('describe', 'ksvc', 'hello'), /API Version: +serving\.knative\.dev\/v1/);
  const wrong = { ...service, spec: { ...service.spec, traffic: [{ latestRevision: true, percent: 50 }] } };
  assert.match((await runWith(wrong, 'apply')).stderr, /spec\.traffic/);
});

kubectlTest('a definition that goes takes its objects and its resource with it', async () => {
  await okWith(definition, 'apply');
  await okWith(flower('last', { color: 'blue' }), 'apply');
  await ok('delete', 'crd', 'flowers.garden.example.com', '--timeout=20s');
  assert.match(
    (await run('get', 'flowers')).stderr,
    /could not find the requested resource|doesn't have a resource type "flowers"/,
  );
});
