import type { Container } from '../core/pod-spec.ts';
import type { Configuration } from '../kind.ts';
import type { RevisionSpec } from './revision.ts';

const containerName = 'user-container';
const initContainerName = 'init-container';

/** What an operator chooses in the ConfigMap `config-defaults`. */
export interface RevisionDefaults {
  timeoutSeconds: number;
  maxTimeoutSeconds: number;
  containerConcurrency: number;
  maxContainerConcurrency: number;
  isZeroConcurrencyAllowed: boolean;
  enableServiceLinks: boolean;
}

/** Those of Knative where `data` says nothing. Throws an Error that names the key when a value is not one. */
export function parseRevisionDefaults(data: Readonly<Record<string, string>>): RevisionDefaults {
  const whole = (key: string, fallback: number): number => {
    const text = data[key] ?? String(fallback);
    if (/^\d{1,9}$/.test(text)) return Number(text);
    throw new Error(`${key} is ${JSON.stringify(text)}: expected a whole number`);
  };
  const isTrue = (key: string, fallback: boolean) => (data[key] ?? String(fallback)).toLowerCase() === 'true';
  const defaults: RevisionDefaults = {
    timeoutSeconds: whole('revision-timeout-seconds', 300),
    maxTimeoutSeconds: whole('max-revision-timeout-seconds', 600),
    containerConcurrency: whole('container-concurrency', 0),
    maxContainerConcurrency: whole('container-concurrency-max-limit', 1000),
    isZeroConcurrencyAllowed: isTrue('allow-container-concurrency-zero', true),
    enableServiceLinks: isTrue('enable-service-links', false),
  };
  const { timeoutSeconds, maxTimeoutSeconds, containerConcurrency, maxContainerConcurrency } = defaults;
  if (timeoutSeconds > maxTimeoutSeconds) {
    throw new Error(
      `revision-timeout-seconds is ${timeoutSeconds}: max-revision-timeout-seconds is ${maxTimeoutSeconds}`,
    );
  }
  if (containerConcurrency > maxContainerConcurrency) {
    const max = `container-concurrency-max-limit is ${maxContainerConcurrency}`;
    throw new Error(`container-concurrency is ${containerConcurrency}: ${max}`);
  }
  return defaults;
}

/** What is in force: Knative's own while the ConfigMap is wrong, which it can only be where nobody refused it. */
export function revisionDefaultsOf(config: Configuration): RevisionDefaults {
  try {
    return parseRevisionDefaults(config['knative-serving/config-defaults'] ?? {});
  } catch {
    return parseRevisionDefaults({}); // A write of something else is no place to tell of it.
  }
}

/** Fills what a revision's spec leaves out, as Knative's webhook does; changes `spec`. */
export function setRevisionSpecDefaults(spec: RevisionSpec, config: Configuration): void {
  const defaults = revisionDefaultsOf(config);
  if (!spec.timeoutSeconds) spec.timeoutSeconds = defaults.timeoutSeconds;
  spec.containerConcurrency ??= defaults.containerConcurrency;
  if (!Array.isArray(spec.containers)) return;
  spec.enableServiceLinks ??= defaults.enableServiceLinks;
  setContainerNames(spec.containers, containerName);
  setContainerNames(spec.initContainers ?? [], initContainerName);
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
