import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CustomResourceDefinitionKind } from './apiextensions/custom-resource-definition.ts';
import { type Deployment, DeploymentKind } from './apps/deployment.ts';
import { builtinKinds } from './builtin.ts';
import { type ConfigMap, ConfigMapKind } from './core/config-map.ts';
import { type Pod, PodKind } from './core/pod.ts';
import type { PodSpec } from './core/pod-spec.ts';
import { type Secret, SecretKind } from './core/secret.ts';
import { type CoreService, CoreServiceKind } from './core/service.ts';
import type { Schema } from './schema.ts';

const fieldsOf = (errors: { field: string }[] | undefined) => (errors ?? []).map((error) => error.field);

function podWith(spec: Partial<PodSpec>): Pod {
  const containers = [{ name: 'c', image: 'example.com/app:1' }];
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'n' }, spec: { containers, ...spec } };
}

function deploymentWith(changes: Partial<Deployment['spec']> = {}): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd', namespace: 'n' },
    spec: {
      selector: { matchLabels: { app: 'a' } },
      template: { metadata: { labels: { app: 'a' } }, spec: { containers: [{ name: 'c', image: 'i@sha256:0' }] } },
      ...changes,
    },
  };
}

test('every built-in kind has a resource of its own, and structural schemas', () => {
  const resources = builtinKinds.map((kind) => `${kind.plural}.${kind.group}`);
  assert.equal(new Set(resources).size, resources.length);
  const visit = (schema: Schema, path: string) => {
    assert.ok(schema.type ?? schema['x-kubernetes-int-or-string'], `${path} has no type`);
    const keys = schema['x-kubernetes-list-map-keys'] ?? [];
    const isOpen = schema.items?.['x-kubernetes-preserve-unknown-fields'];
    for (const key of keys) assert.ok(isOpen || schema.items?.properties?.[key], `${path} has no key field ${key}`);
    for (const [name, inner] of Object.entries(schema.properties ?? {})) visit(inner, `${path}.${name}`);
    if (schema.items) visit(schema.items, `${path}[]`);
    if (typeof schema.additionalProperties === 'object') visit(schema.additionalProperties, `${path}{}`);
  };
  for (const kind of builtinKinds) visit(kind.schema, kind.kind);
});

test("a pod gets Kubernetes' defaults", () => {
  const pod = podWith({
    containers: [
      { name: 'latest', image: 'a', readinessProbe: { httpGet: { port: 80 } }, ports: [{ containerPort: 80 }] },
      { name: 'tagged', image: 'host:5000/a:1', resources: { limits: { cpu: '1' } } },
      { name: 'pinned', image: 'a@sha256:0' },
    ],
    volumes: [{ name: 'v' }, { name: 's', secret: { secretName: 's' } }],
  });
  PodKind.setDefaults?.(pod, { config: {} });
  const [latest, tagged, pinned] = pod.spec.containers;
  assert.equal(pod.spec.restartPolicy, 'Always');
  assert.equal(pod.spec.terminationGracePeriodSeconds, 30);
  assert.deepEqual(
    [latest, tagged, pinned].map((c) => c?.imagePullPolicy),
    ['Always', 'IfNotPresent', 'IfNotPresent'],
  );
  assert.deepEqual(latest?.readinessProbe, {
    httpGet: { port: 80, path: '/', scheme: 'HTTP' },
    timeoutSeconds: 1,
    periodSeconds: 10,
    successThreshold: 1,
    failureThreshold: 3,
  });
  assert.equal(latest?.ports?.[0]?.protocol, 'TCP');
  assert.deepEqual(tagged?.resources, { limits: { cpu: '1' }, requests: { cpu: '1' } });
  assert.deepEqual(pod.spec.volumes, [
    { name: 'v', emptyDir: {} },
    { name: 's', secret: { secretName: 's', defaultMode: 420 } },
  ]);
  const again = structuredClone(pod);
  PodKind.setDefaults?.(again, { old: pod, config: {} });
  assert.deepEqual(again, pod);
});

test('what is wrong with a pod is said by field', () => {
  const container = { name: 'c', image: 'i' };
  const table: [Partial<PodSpec>, string[]][] = [
    [{}, []],
    [{ containers: [] }, ['spec.containers']],
    [{ containers: [{ name: 'C', image: 'i' }] }, ['spec.containers[0].name']],
    [{ containers: [{ name: 'c' }] }, ['spec.containers[0].image']],
    [{ containers: [container, container] }, ['spec.containers[1].name']],
    [{ initContainers: [container], containers: [container] }, ['spec.containers[0].name']],
    [{ containers: [{ ...container, ports: [{ containerPort: 0 }] }] }, ['spec.containers[0].ports[0].containerPort']],
    [
      {
        containers: [
          {
            ...container,
            ports: [
              { containerPort: 1, name: 'a' },
              { containerPort: 2, name: 'a' },
            ],
          },
        ],
      },
      ['spec.containers[0].ports[1].name'],
    ],
    [{ containers: [{ ...container, env: [{ name: 'A=B' }] }] }, ['spec.containers[0].env[0].name']],
    [
      {
        containers: [
          { ...container, env: [{ name: 'A', value: 'x', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }] },
        ],
      },
      ['spec.containers[0].env[0].valueFrom'],
    ],
    [
      {
        containers: [{ ...container, env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'status.nothing' } } }] }],
      },
      ['spec.containers[0].env[0].valueFrom.fieldRef.fieldPath'],
    ],
    [
      { containers: [{ ...container, resources: { limits: { memory: '1Q' } } }] },
      ['spec.containers[0].resources.limits[memory]'],
    ],
    [
      { containers: [{ ...container, resources: { limits: { cpu: '1' }, requests: { cpu: '1500m' } } }] },
      ['spec.containers[0].resources.requests[cpu]'],
    ],
    [
      { containers: [{ ...container, volumeMounts: [{ name: 'v', mountPath: '/v' }] }] },
      ['spec.containers[0].volumeMounts[0].name'],
    ],
    [{ containers: [{ ...container, livenessProbe: {} }] }, ['spec.containers[0].livenessProbe']],
    [
      { containers: [{ ...container, livenessProbe: { tcpSocket: { port: 1 }, grpc: { port: 1 } } }] },
      ['spec.containers[0].livenessProbe.grpc'],
    ],
    [
      { containers: [{ ...container, livenessProbe: { tcpSocket: { port: 'http' }, successThreshold: 2 } }] },
      ['spec.containers[0].livenessProbe.successThreshold'],
    ],
    [{ volumes: [{ name: 'v', emptyDir: {}, secret: { secretName: 's' } }] }, ['spec.volumes[0].secret']],
    [{ volumes: [{ name: 'v' }, { name: 'v' }] }, ['spec.volumes[1].name']],
    [{ hostname: 'A.b' }, ['spec.hostname']],
    ...(['../x', 'a/../../x', '/x', '..data', ''] as const).map((path): [object, string[]] => [
      { volumes: [{ name: 'v', configMap: { name: 'c', items: [{ key: 'k', path }] } }] },
      ['spec.volumes[0].configMap.items[0].path'],
    ]),
    [
      { volumes: [{ name: 'v', secret: { secretName: 's', items: [{ key: '', path: 'a/b', mode: 0o1000 }] } }] },
      ['spec.volumes[0].secret.items[0].key', 'spec.volumes[0].secret.items[0].mode'],
    ],
    [
      { volumes: [{ name: 'v', projected: { sources: [{ downwardAPI: { items: [{ path: '../x' }] } }] } }] },
      ['spec.volumes[0].projected.sources[0].downwardAPI.items[0].path'],
    ],
    [
      {
        volumes: [{ name: 'v', emptyDir: {} }],
        containers: [{ ...container, volumeMounts: [{ name: 'v', mountPath: '/v', subPathExpr: 'a/../..' }] }],
      },
      ['spec.containers[0].volumeMounts[0].subPathExpr'],
    ],
    [{ containers: [{ ...container, restartPolicy: 'Always' }] }, ['spec.containers[0].restartPolicy']],
    [
      { initContainers: [{ ...container, name: 'i', restartPolicy: 'Never' }] },
      ['spec.initContainers[0].restartPolicy'],
    ],
    [
      {
        initContainers: [
          { ...container, name: 'i', restartPolicy: 'Always', livenessProbe: { tcpSocket: { port: 1 } } },
        ],
      },
      [],
    ],
    [
      { initContainers: [{ ...container, name: 'i', lifecycle: { preStop: { sleep: { seconds: -1 } } } }] },
      ['spec.initContainers[0].lifecycle.preStop.sleep.seconds', 'spec.initContainers[0].lifecycle'],
    ],
  ];
  for (const [spec, fields] of table) {
    assert.deepEqual(fieldsOf(PodKind.validate?.(podWith(spec), { config: {} })), fields, JSON.stringify(spec));
  }
});

test('a pod is bound to a node once, and its spec stays', () => {
  const old = podWith({});
  assert.deepEqual(PodKind.validate?.(podWith({ nodeName: 'a' }), { old, config: {} }), []);
  assert.deepEqual(
    fieldsOf(PodKind.validate?.(podWith({ nodeName: 'b' }), { old: podWith({ nodeName: 'a' }), config: {} })),
    ['spec'],
  );
  assert.deepEqual(fieldsOf(PodKind.validate?.(podWith({ hostNetwork: true }), { old, config: {} })), ['spec']);
  assert.deepEqual(
    PodKind.validate?.(podWith({ containers: [{ name: 'c', image: 'other' }] }), { old, config: {} }),
    [],
  );
});

test('what is wrong with a Deployment is said by field', () => {
  const table: [Partial<Deployment['spec']>, string[]][] = [
    [{}, []],
    [{ replicas: -1 }, ['spec.replicas']],
    [{ selector: {} }, ['spec.selector']],
    [{ selector: { matchLabels: { app: 'b' } } }, ['spec.template.metadata.labels']],
    [{ strategy: { type: 'Recreate', rollingUpdate: {} } }, ['spec.strategy.rollingUpdate']],
    [
      { strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } } },
      ['spec.strategy.rollingUpdate.maxUnavailable'],
    ],
    [{ strategy: { rollingUpdate: { maxSurge: 'x', maxUnavailable: 1 } } }, ['spec.strategy.rollingUpdate.maxSurge']],
    [{ progressDeadlineSeconds: 5, minReadySeconds: 5 }, ['spec.progressDeadlineSeconds']],
  ];
  for (const [changes, fields] of table) {
    assert.deepEqual(
      fieldsOf(DeploymentKind.validate?.(deploymentWith(changes), { config: {} })),
      fields,
      JSON.stringify(changes),
    );
  }
  const moved = deploymentWith({
    selector: { matchLabels: { app: 'b' } },
    template: { metadata: { labels: { app: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
  });
  assert.deepEqual(fieldsOf(DeploymentKind.validate?.(moved, { old: deploymentWith(), config: {} })), [
    'spec.selector',
  ]);
});

test('a Secret takes plain text, and keeps only base64', () => {
  const secret: Secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, stringData: { a: 'text' } };
  SecretKind.setDefaults?.(secret, { config: {} });
  assert.deepEqual(secret, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's' },
    type: 'Opaque',
    data: { a: 'dGV4dA==' },
  });
  assert.deepEqual(SecretKind.validate?.(secret, { config: {} }), []);
  assert.deepEqual(fieldsOf(SecretKind.validate?.({ ...secret, data: { 'a/b': '!' } }, { config: {} })), [
    'data[a/b]',
    'data[a/b]',
  ]);
  assert.deepEqual(fieldsOf(SecretKind.validate?.({ ...secret, type: 'kubernetes.io/tls' }, { config: {} })), [
    'data[tls.crt]',
    'data[tls.key]',
  ]);
});

test('an immutable ConfigMap stays, whatever the order of its keys', () => {
  const old: ConfigMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'c' },
    data: { a: '1', b: '2' },
    immutable: true,
  };
  assert.deepEqual(ConfigMapKind.validate?.({ ...old, data: { b: '2', a: '1' } }, { old, config: {} }), []);
  assert.deepEqual(fieldsOf(ConfigMapKind.validate?.({ ...old, data: { a: '1' } }, { old, config: {} })), ['data']);
});

test('a Service gets its defaults, and keeps its address', () => {
  const service: CoreService = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 's' },
    spec: { ports: [{ port: 80 }] },
  };
  CoreServiceKind.setDefaults?.(service, { config: {} });
  assert.deepEqual(service.spec.ports, [{ port: 80, protocol: 'TCP', targetPort: 80 }]);
  assert.equal(service.spec.clusterIP, undefined, 'it is allocated when the object is written');
  const next: CoreService = { ...service, spec: { ports: [{ port: 81 }] } };
  CoreServiceKind.setDefaults?.(next, {
    old: { ...service, spec: { ...service.spec, clusterIP: '10.0.0.1' } },
    config: {},
  });
  assert.equal(next.spec.clusterIP, '10.0.0.1');
  const unnamed = { ...service, spec: { ports: [{ port: 80 }, { port: 80, name: 'b' }] } };
  assert.deepEqual(fieldsOf(CoreServiceKind.validate?.(unnamed, { config: {} })), [
    'spec.ports[0].name',
    'spec.ports[1]',
  ]);
});

test('a CustomResourceDefinition is named after its resource, and has one storage version', () => {
  const definition = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'things.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced' as const,
      names: { plural: 'things', kind: 'Thing' },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' as const } } }],
    },
  };
  const errors = (changes: Partial<(typeof definition)['spec']>) =>
    fieldsOf(
      CustomResourceDefinitionKind.validate?.(
        { ...definition, spec: { ...definition.spec, ...changes } },
        { config: {} },
      ),
    );
  assert.deepEqual(errors({}), []);
  assert.deepEqual(errors({ group: 'other.com' }), ['metadata.name']);
  assert.deepEqual(errors({ versions: [] }), ['spec.versions']);
});
