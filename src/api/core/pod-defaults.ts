import { tokenSecondsDefault } from '../authentication/token-request.ts';
import type { Container, Probe } from './container.ts';
import type { PodSpec } from './pod-spec.ts';

/** Fills in what Kubernetes' API server defaults in a pod's spec (pkg/apis/core/v1/defaults.go); changes `spec`. */
export function setPodSpecDefaults(spec: PodSpec): void {
  spec.restartPolicy ??= 'Always';
  spec.dnsPolicy ??= 'ClusterFirst';
  spec.schedulerName ??= 'default-scheduler';
  spec.terminationGracePeriodSeconds ??= 30;
  spec.securityContext ??= {};
  if (spec.serviceAccountName !== undefined) spec.serviceAccount ??= spec.serviceAccountName;
  else if (spec.serviceAccount !== undefined) spec.serviceAccountName = spec.serviceAccount;
  for (const container of spec.containers ?? []) setContainerDefaults(container);
  for (const container of spec.initContainers ?? []) setContainerDefaults(container);
  for (const container of spec.ephemeralContainers ?? []) setContainerDefaults(container);
  for (const volume of spec.volumes ?? []) {
    if (volume.configMap) volume.configMap.defaultMode ??= 0o644;
    if (volume.secret) volume.secret.defaultMode ??= 0o644;
    if (volume.projected) volume.projected.defaultMode ??= 0o644;
    for (const { serviceAccountToken } of volume.projected?.sources ?? []) {
      if (serviceAccountToken) serviceAccountToken.expirationSeconds ??= tokenSecondsDefault;
    }
    if (volume.hostPath) volume.hostPath.type ??= '';
    if (volume.downwardAPI) volume.downwardAPI.defaultMode ??= 0o644;
    if (Object.keys(volume).length === 1) volume.emptyDir = {};
  }
}

/** In the host's network a pod's ports are the host's; a template does not say so yet. Changes `spec`. */
export function setHostPorts(spec: PodSpec): void {
  if (!spec.hostNetwork) return;
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    for (const port of container.ports ?? []) port.hostPort ||= port.containerPort;
  }
}

function setContainerDefaults(container: Container): void {
  container.imagePullPolicy ??= isLatest(container.image ?? '') ? 'Always' : 'IfNotPresent';
  container.terminationMessagePath ??= '/dev/termination-log';
  container.terminationMessagePolicy ??= 'File';
  container.resources ??= {};
  const { limits } = container.resources;
  if (limits) container.resources.requests = { ...limits, ...container.resources.requests };
  for (const port of container.ports ?? []) port.protocol ??= 'TCP';
  for (const variable of container.env ?? []) {
    if (variable.valueFrom?.fieldRef) variable.valueFrom.fieldRef.apiVersion ??= 'v1';
  }
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) {
    if (probe) setProbeDefaults(probe);
  }
}

function setProbeDefaults(probe: Probe): void {
  probe.timeoutSeconds ||= 1;
  probe.periodSeconds ||= 10;
  probe.successThreshold ||= 1;
  probe.failureThreshold ||= 3;
  if (probe.httpGet) {
    probe.httpGet.path ||= '/';
    probe.httpGet.scheme ??= 'HTTP';
  }
  if (probe.grpc) probe.grpc.service ??= '';
}

/** Whether an image reference means a tag that moves: no tag and no digest, or `:latest`. */
function isLatest(image: string): boolean {
  if (image.includes('@')) return false;
  const tag = image.slice(image.lastIndexOf('/') + 1).split(':')[1];
  return tag === undefined || tag === 'latest';
}
