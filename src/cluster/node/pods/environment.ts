import type { Pod } from '../../../api/core/pod.ts';
import type { Container, EnvVarSource } from '../../../api/core/pod-spec.ts';
import { parseQuantity } from '../../../api/core/quantity.ts';
import type { CoreService } from '../../../api/core/service.ts';
import type { Client } from '../../../kube/client.ts';
import { type PodAddresses, StartError } from '../driver.ts';
import { ConfigSources } from './config-sources.ts';
import { expand, TextBudget } from './expand.ts';
import { serviceVariables } from './service-links.ts';

export interface EnvironmentOptions {
  pod: Pod;
  container: Container;
  /** The image's own variables, `NAME=value`. */
  imageEnv: readonly string[];
  /** Those that the pod is told of. */
  services: readonly CoreService[];
  client: Client;
  place: Place;
}

/** Where a pod runs: what it may ask about that. */
export interface Place {
  host: Host;
  pod: PodAddresses;
}

/** The machine, as its pods see it. */
export interface Host {
  address: string;
  /** What it has, for limits that are not set. */
  cpus: number;
  memoryBytes: number;
}

/**
 * The variables of a container, as kubelet makes them: the image's, those of Services, `envFrom`, then `env`, later
 * ones winning; a value may refer by `$(NAME)` to any of them but the image's. Where the container's port is mapped to
 * another of the host, `PORT` says which. Throws StartError when something they refer to is missing.
 */
export async function environmentOf(options: EnvironmentOptions): Promise<Record<string, string>> {
  const { pod, container, imageEnv, services, client } = options;
  const { ports } = options.place.pod;
  const sources = new ConfigSources((kind, key) => client.get(kind, key), pod.metadata.namespace ?? 'default');
  const budget = new TextBudget();
  const ofImage: Record<string, string> = {};
  for (const pair of imageEnv) {
    const cut = pair.indexOf('=');
    if (cut > 0) ofImage[pair.slice(0, cut)] = pair.slice(cut + 1);
  }
  const links = serviceVariables(services);
  for (const [name, value] of Object.entries(links)) budget.take(name, value);
  const declared: Record<string, string> = {};
  const ownPort = container.ports?.[0]?.containerPort;
  if (ownPort !== undefined && ports[ownPort] !== undefined) declared.PORT = String(ports[ownPort]);

  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const values = configMapRef
      ? await sources.configMap(configMapRef.name, configMapRef.optional)
      : await sources.secret(secretRef?.name ?? '', secretRef?.optional);
    for (const [key, bytes] of Object.entries(values ?? {})) {
      const value = bytes.toString('utf8');
      budget.take(prefix, key, value);
      declared[prefix + key] = value;
    }
  }
  for (const { name, value, valueFrom } of container.env ?? []) {
    const found =
      valueFrom && !value ? await fromSource(valueFrom, options, sources) : expand(value ?? '', declared, links);
    if (found === undefined) continue;
    budget.take(name, found);
    declared[name] = name === 'PORT' ? String(ports[Number(found)] ?? found) : found;
  }
  return { ...ofImage, ...links, ...declared };
}

async function fromSource(
  source: EnvVarSource,
  options: EnvironmentOptions,
  sources: ConfigSources,
): Promise<string | undefined> {
  const { configMapKeyRef, secretKeyRef, fieldRef, resourceFieldRef } = source;
  const reference = configMapKeyRef ?? secretKeyRef;
  if (reference) {
    const kind = configMapKeyRef ? 'ConfigMap' : 'Secret';
    const { name, key, optional } = reference;
    const values = await (configMapKeyRef ? sources.configMap(name, optional) : sources.secret(name, optional));
    const value = values && Object.hasOwn(values, key) ? values[key] : undefined;
    if (value === undefined && !optional) {
      throw missing(`couldn't find key ${key} in ${kind} ${options.pod.metadata.namespace}/${name}`);
    }
    return value?.toString('utf8');
  }
  if (fieldRef) return fieldOf(options.pod, fieldRef.fieldPath, options.place);
  if (resourceFieldRef) {
    const { containerName, resource, divisor } = resourceFieldRef;
    const { containers, initContainers = [] } = options.pod.spec;
    const all = [...containers, ...initContainers];
    const container = all.find((c) => c.name === containerName) ?? options.container;
    return resourceOf(container, resource, divisor, options.place.host);
  }
  return undefined;
}

/** The downward API's fields (core/v1 ObjectFieldSelector). */
export function fieldOf(pod: Pod, path: string, place: Place): string {
  const { metadata, spec } = pod;
  const subscript = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (subscript?.[2]) {
    const values = metadata[subscript[1] === 'labels' ? 'labels' : 'annotations'] ?? {};
    return Object.hasOwn(values, subscript[2]) ? (values[subscript[2]] ?? '') : '';
  }
  switch (path) {
    case 'metadata.name':
      return metadata.name;
    case 'metadata.namespace':
      return metadata.namespace ?? '';
    case 'metadata.uid':
      return metadata.uid ?? '';
    case 'metadata.labels':
      return listed(metadata.labels);
    case 'metadata.annotations':
      return listed(metadata.annotations);
    case 'spec.nodeName':
      return spec.nodeName ?? '';
    case 'spec.serviceAccountName':
      return spec.serviceAccountName ?? 'default';
    case 'status.hostIP':
    case 'status.hostIPs':
      return place.host.address;
    case 'status.podIP':
      return place.pod.ips[0];
    case 'status.podIPs':
      return place.pod.ips.join(',');
    default:
      throw missing(`fieldPath ${path} is not supported`);
  }
}

/** `limits.memory`, `requests.cpu` …, divided and rounded up; a limit that is not set is the node's capacity. */
export function resourceOf(
  container: Container,
  path: string,
  divisor: string | number | undefined,
  host: Pick<Host, 'cpus' | 'memoryBytes'>,
): string {
  const [group, name] = path.split('.');
  if ((group !== 'limits' && group !== 'requests') || name === undefined) {
    throw missing(`resource ${path} is not supported`);
  }
  const capacity = new Map([
    ['cpu', host.cpus],
    ['memory', host.memoryBytes],
  ]);
  const quantities = container.resources?.[group] ?? {};
  const set = Object.hasOwn(quantities, name) ? quantities[name] : undefined;
  const value = set === undefined ? (group === 'limits' ? (capacity.get(name) ?? 0) : 0) : (parseQuantity(set) ?? 0);
  return String(Math.ceil(value / ((divisor && parseQuantity(divisor)) || 1)));
}

/** One `key="value"` a line, as the downward API writes labels and annotations. */
function listed(values: Record<string, string> | undefined): string {
  const entries = Object.entries(values ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join('\n');
}

const missing = (message: string) => new StartError('CreateContainerConfigError', message);
