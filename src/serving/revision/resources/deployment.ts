import { type Deployment, DeploymentKind } from '../../../api/apps/deployment.ts';
import type { Container, EnvVar, PodSpec, Probe } from '../../../api/core/pod-spec.ts';
import { apiVersionOf } from '../../../api/kind.ts';
import { siblingKey } from '../../../api/meta.ts';
import { annotations, labels } from '../../../api/serving/names.ts';
import { type Revision, servingContainerOf } from '../../../api/serving/revision.ts';
import { parseGoDurationMs } from '../../../lib/go-duration.ts';
import { childLabels, podAnnotations, podSelector } from './metadata.ts';
import { deploymentName } from './names.ts';

const userPortName = 'user-port';
const defaultPort = 8080;
export const defaultProgressDeadlineMs = 600_000;

/** What runs a revision. `initialScale` is only for its creation: from then on the autoscaler owns the replicas. */
export function makeDeployment(revision: Revision, initialScale: number): Deployment {
  return {
    apiVersion: apiVersionOf(DeploymentKind),
    kind: DeploymentKind.kind,
    metadata: {
      ...siblingKey(revision, deploymentName(revision)),
      labels: childLabels(revision),
      annotations: podAnnotations(revision),
    },
    spec: {
      replicas: initialScale,
      selector: { matchLabels: podSelector(revision) },
      progressDeadlineSeconds: Math.ceil(progressDeadlineMs(revision) / 1000),
      revisionHistoryLimit: 0,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: '25%' } },
      template: {
        metadata: { labels: childLabels(revision), annotations: podAnnotations(revision) },
        spec: podSpec(revision),
      },
    },
  };
}

/** How long a revision may take to become ready, from its annotation. */
export function progressDeadlineMs(revision: Revision): number {
  return (
    parseGoDurationMs(revision.metadata.annotations?.[annotations.progressDeadline] ?? '') ?? defaultProgressDeadlineMs
  );
}

/** The port that the serving container listens on. */
export function userPort(revision: Revision): number {
  return servingContainerOf(revision.spec)?.ports?.[0]?.containerPort || defaultPort;
}

/** Whether that port takes HTTP/2 without TLS, as its name says. */
export function speaksHttp2(revision: Revision): boolean {
  return servingContainerOf(revision.spec)?.ports?.[0]?.name === 'h2c';
}

function podSpec(revision: Revision): PodSpec {
  const {
    containerConcurrency: _concurrency,
    timeoutSeconds,
    responseStartTimeoutSeconds: _responseStart,
    idleTimeoutSeconds: _idle,
    ...pod
  } = revision.spec;
  const serving = servingContainerOf(revision.spec);
  return {
    ...pod,
    containers: revision.spec.containers.map((container, i) =>
      makeContainer(container, revision, container === serving, revision.status?.containerStatuses?.[i]?.imageDigest),
    ),
    // A request may take this long, and a pod that stops finishes its requests first.
    ...(timeoutSeconds === undefined ? {} : { terminationGracePeriodSeconds: timeoutSeconds }),
  };
}

function makeContainer(container: Container, revision: Revision, isServing: boolean, digest?: string): Container {
  const port = userPort(revision);
  const made: Container = {
    ...container,
    ...(digest ? { image: digest } : {}),
    env: [
      ...(container.env ?? []),
      ...(isServing ? [{ name: 'PORT', value: String(port) }] : []),
      ...knativeEnv(revision),
    ],
    terminationMessagePolicy: container.terminationMessagePolicy ?? 'FallbackToLogsOnError',
  };
  if (!isServing) return made;
  made.ports = [{ name: userPortName, containerPort: port, protocol: 'TCP' }];
  for (const name of ['readinessProbe', 'livenessProbe', 'startupProbe'] as const) {
    const probe = container[name];
    if (probe) made[name] = withPort(probe, port);
  }
  return made;
}

/** Who the container is, by the runtime contract of Knative. */
function knativeEnv({ metadata }: Revision): EnvVar[] {
  return [
    { name: 'K_REVISION', value: metadata.name },
    { name: 'K_CONFIGURATION', value: metadata.labels?.[labels.configuration] ?? '' },
    { name: 'K_SERVICE', value: metadata.labels?.[labels.service] ?? '' },
  ];
}

/**
 * A probe that Kubernetes understands: port 0, none and the port's old name all mean the serving port, and a period of
 * 0 ("as often as you like") becomes the shortest that there is.
 */
function withPort(probe: Probe, port: number): Probe {
  const { httpGet, tcpSocket, grpc, ...rest } = probe;
  const portOf = (given: number | string | undefined) => (typeof given === 'number' && given > 0 ? given : port);
  return {
    ...rest,
    periodSeconds: probe.periodSeconds || 1,
    ...(httpGet ? { httpGet: { ...httpGet, port: portOf(httpGet.port) } } : {}),
    ...(tcpSocket ? { tcpSocket: { ...tcpSocket, port: portOf(tcpSocket.port) } } : {}),
    ...(grpc ? { grpc: { ...grpc, port: grpc.port || port } } : {}),
  };
}
