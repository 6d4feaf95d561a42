import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Revision, RevisionKind, type RevisionSpec } from '../../../api/serving/revision.ts';
import { makeDeployment, progressDeadlineMs } from './deployment.ts';
import { makePodAutoscaler, reachabilityOf } from './pod-autoscaler.ts';
import { makeService } from './service.ts';

function revision(spec: RevisionSpec, annotations: Record<string, string> = {}): Revision {
  const made: Revision = {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Revision',
    metadata: {
      name: 'web-00001',
      namespace: 'shop',
      uid: 'u-1',
      labels: {
        'serving.knative.dev/service': 'web',
        'serving.knative.dev/configuration': 'web',
        'serving.knative.dev/routingState': 'active',
        team: 'a',
      },
      annotations: { 'serving.knative.dev/routes': 'web', note: 'kept', ...annotations },
    },
    spec,
    status: { containerStatuses: [{ name: 'user-container', imageDigest: 'host/web@sha256:1' }] },
  };
  RevisionKind.setDefaults?.(made, { config: {} });
  return made;
}

test('a Deployment runs the pinned image with the port, the environment and the probe of the contract', () => {
  const made = makeDeployment(
    revision({ containers: [{ name: '', image: 'web', env: [{ name: 'A', value: '1' }] }] }),
    1,
  );
  assert.equal(made.metadata.name, 'web-00001-deployment');
  assert.deepEqual(made.spec.selector, { matchLabels: { 'serving.knative.dev/revisionUID': 'u-1' } });
  assert.deepEqual(made.spec.template, {
    metadata: {
      labels: {
        app: 'web-00001',
        team: 'a',
        'serving.knative.dev/service': 'web',
        'serving.knative.dev/configuration': 'web',
        'serving.knative.dev/revision': 'web-00001',
        'serving.knative.dev/revisionUID': 'u-1',
      },
      annotations: { note: 'kept' },
    },
    spec: {
      enableServiceLinks: false,
      terminationGracePeriodSeconds: 300,
      containers: [
        {
          name: 'user-container',
          image: 'host/web@sha256:1',
          resources: {},
          env: [
            { name: 'A', value: '1' },
            { name: 'PORT', value: '8080' },
            { name: 'K_REVISION', value: 'web-00001' },
            { name: 'K_CONFIGURATION', value: 'web' },
            { name: 'K_SERVICE', value: 'web' },
          ],
          ports: [{ name: 'user-port', containerPort: 8080, protocol: 'TCP' }],
          readinessProbe: { tcpSocket: { port: 8080 }, successThreshold: 1, periodSeconds: 1 },
          terminationMessagePolicy: 'FallbackToLogsOnError',
        },
      ],
    },
  });
});

test('a port of one’s own is the probe’s as well, whatever it was called', () => {
  const made = makeDeployment(
    revision({
      containers: [
        {
          name: 'app',
          image: 'web',
          ports: [{ name: 'h2c', containerPort: 3000 }],
          readinessProbe: { httpGet: { path: '/ready', port: 'h2c' } },
          livenessProbe: { tcpSocket: { port: 9000 } },
        },
        { name: 'side', image: 'side' },
      ],
    }),
    2,
  );
  assert.equal(made.spec.replicas, 2);
  const [app, side] = made.spec.template.spec.containers;
  assert.deepEqual(app?.readinessProbe?.httpGet, { path: '/ready', port: 3000 });
  assert.deepEqual(app?.livenessProbe?.tcpSocket, { port: 9000 });
  assert.deepEqual(
    side?.env?.map(({ name }) => name),
    ['K_REVISION', 'K_CONFIGURATION', 'K_SERVICE'],
  );
  assert.equal(side?.ports, undefined);
});

test('scaling annotations go to the PodAutoscaler and not to the pods, which they would roll', () => {
  const scaled = revision(
    { containers: [{ name: '', image: 'web' }], containerConcurrency: 5 },
    { 'autoscaling.knative.dev/min-scale': '2' },
  );
  assert.deepEqual(makeDeployment(scaled, 1).spec.template.metadata?.annotations, { note: 'kept' });
  const autoscaler = makePodAutoscaler(scaled, reachabilityOf(scaled));
  assert.deepEqual(autoscaler.metadata.annotations, { note: 'kept', 'autoscaling.knative.dev/min-scale': '2' });
  assert.deepEqual(autoscaler.spec, {
    containerConcurrency: 5,
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web-00001-deployment' },
    protocolType: 'http1',
    reachability: 'Reachable',
  });
});

test('the Service leads by number to the port of the pods of exactly this revision', () => {
  const { metadata, spec } = makeService(
    revision({ containers: [{ name: '', image: 'web', ports: [{ containerPort: 3000 }] }] }),
  );
  assert.equal(metadata.name, 'web-00001');
  assert.deepEqual(spec.selector, { 'serving.knative.dev/revisionUID': 'u-1' });
  assert.deepEqual([spec.ports?.[0]?.port, spec.ports?.[0]?.targetPort], [80, 3000]);
});

test('the progress deadline is ten minutes unless annotated', () => {
  const spec = { containers: [{ name: '', image: 'web' }] };
  assert.equal(progressDeadlineMs(revision(spec)), 600_000);
  const annotated = revision(spec, { 'serving.knative.dev/progress-deadline': '90s' });
  assert.equal(makeDeployment(annotated, 1).spec.progressDeadlineSeconds, 90);
});
