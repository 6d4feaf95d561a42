import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noConfiguration } from '../kind.ts';
import type { EphemeralContainer } from './ephemeral-containers.ts';
import { type Pod, PodKind } from './pod.ts';

const podWith = (ephemeralContainers?: EphemeralContainer[]): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default' },
  spec: {
    containers: [{ name: 'c', image: 'i' }],
    volumes: [{ name: 'v', emptyDir: {} }],
    ...(ephemeralContainers && { ephemeralContainers }),
  },
});

const errorsOf = (pod: Pod, old?: Pod) =>
  (PodKind.validate?.(pod, { config: noConfiguration, old }) ?? []).map(({ field, message }) => `${field}: ${message}`);

const debug: EphemeralContainer = { name: 'debug', image: 'tools', targetContainerName: 'c', stdin: true, tty: true };

test('a pod that runs gets containers to look into it, and a new one has none', () => {
  assert.deepEqual(errorsOf(podWith([debug]), podWith()), []);
  assert.deepEqual(errorsOf(podWith([debug, { name: 'more', image: 'tools' }]), podWith([debug])), []);
  assert.deepEqual(errorsOf(podWith([debug])), ['spec.ephemeralContainers: Forbidden: cannot be set on create']);
});

test('what was added stays as it is', () => {
  const says = (what: string) =>
    `spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be ${what}\n`;
  assert.deepEqual(errorsOf(podWith([]), podWith([debug])), [says('removed')]);
  assert.deepEqual(errorsOf(podWith([{ ...debug, image: 'other' }]), podWith([debug])), [says('changed')]);
  const renamed = podWith([debug]);
  renamed.spec.containers = [{ name: 'c', image: 'i', tty: true }];
  assert.match(errorsOf(renamed, podWith()).join(), /^spec: Forbidden: pod updates may not change fields other/);
});

const wrong: [string, EphemeralContainer, string][] = [
  ['the name of another', { name: 'c', image: 'i' }, 'name: Duplicate value: "c"'],
  ['no image', { name: 'd' }, 'image: Required value: required'],
  ['a target that is not there', { ...debug, targetContainerName: 'x' }, 'targetContainerName: Not found: "x"'],
  ...(
    [
      ['ports', { ports: [{ containerPort: 80 }] }],
      ['lifecycle', { lifecycle: {} }],
      ['readinessProbe', { readinessProbe: { tcpSocket: { port: 80 } } }],
      ['resources', { resources: { limits: { cpu: '1' } } }],
      ['restartPolicy', { restartPolicy: 'Always' }],
      ['volumeMounts[0].subPath', { volumeMounts: [{ name: 'v', mountPath: '/v', subPath: 's' }] }],
    ] as const
  ).map(([field, more]): [string, EphemeralContainer, string] => [
    field,
    { ...debug, ...(more as Partial<EphemeralContainer>) },
    `${field}: Forbidden: cannot be set for an Ephemeral Container`,
  ]),
];
for (const [what, container, message] of wrong) {
  test(`an ephemeral container with ${what} is refused in Kubernetes' words`, () => {
    assert.deepEqual(errorsOf(podWith([container]), podWith()), [`spec.ephemeralContainers[0].${message}`]);
  });
}
