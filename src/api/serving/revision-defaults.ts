import type { Container } from '../core/pod-spec.ts';
import type { RevisionSpec } from './revision.ts';

/** What an operator may choose in the ConfigMap `config-defaults`; these are Knative's own. */
export const revisionDefaults = {
  timeoutSeconds: 300,
  maxTimeoutSeconds: 600,
  containerConcurrency: 0,
  maxContainerConcurrency: 1000,
  containerName: 'user-container',
  initContainerName: 'init-container',
} as const;

/** Fills what a revision's spec leaves out, as Knative's webhook does; changes `spec`. */
export function setRevisionSpecDefaults(spec: RevisionSpec): void {
  if (!spec.timeoutSeconds) spec.timeoutSeconds = revisionDefaults.timeoutSeconds;
  spec.containerConcurrency ??= revisionDefaults.containerConcurrency;
  if (!Array.isArray(spec.containers)) return;
  spec.enableServiceLinks ??= false;
  setContainerNames(spec.containers, revisionDefaults.containerName);
  setContainerNames(spec.initContainers ?? [], revisionDefaults.initContainerName);
  const writable = new Set(
    (spec.volumes ?? []).filter((v) => v.emptyDir || v.persistentVolumeClaim || v.ephemeral).map((v) => v.name),
  );
  for (const container of spec.containers) {
    container.resources ??= {};
    if (spec.containers.length === 1 || container.ports?.length) setServingProbe(container);
    setProbeDefaults(container);
    for (const mount of container.volumeMounts ?? []) if (!writable.has(mount.name)) mount.readOnly = true;
  }
}

/** One container is `user-container`; of several, those without a name are `user-container-0`, `-1`, … */
function setContainerNames(containers: Container[], defaultName: string): void {
  const taken = new Set(containers.map((container) => container.name));
  let suffix = 0;
  for (const container of containers) {
    if (container.name) continue;
    let name = defaultName;
    if (containers.length > 1) {
      do name = `${defaultName}-${suffix++}`;
      while (taken.has(name));
    }
    container.name = name;
  }
}

/** The container that serves is ready when its port accepts a connection, unless it says otherwise. */
function setServingProbe(container: Container): void {
  container.readinessProbe ??= {};
  const { tcpSocket, httpGet, exec, grpc } = container.readinessProbe;
  // Port 0 stands for the container's own port, which the deployment fills in.
  if (!tcpSocket && !httpGet && !exec && !grpc) container.readinessProbe.tcpSocket = { port: 0 };
}

function setProbeDefaults(container: Container): void {
  const probe = container.readinessProbe;
  if (probe) {
    probe.successThreshold ||= 1;
    // Without a period the platform probes as often as it likes, and the other fields have no meaning.
    if (probe.periodSeconds) {
      probe.failureThreshold ||= 3;
      probe.timeoutSeconds ||= 1;
    }
  }
  for (const { grpc } of [probe, container.livenessProbe, container.startupProbe].filter((p) => p !== undefined)) {
    if (grpc) grpc.service ??= '';
  }
}
