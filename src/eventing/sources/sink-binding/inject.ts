import type { EnvVar } from '../../../api/core/container.ts';
import type { KubeObject } from '../../../api/meta.ts';
import type { SinkBinding } from '../../../api/sources/sink-binding.ts';
import type { CloudEventOverrides } from '../../../api/sources/source.ts';
import type { ResolvedAddress } from '../../control/destination.ts';

/** An object whose `spec.template.spec` describes pods (Knative's duck type PodSpecable). */
export interface PodSpecable extends KubeObject {
  spec: {
    template?: {
      spec?: { containers?: { env?: EnvVar[] }[]; initContainers?: { env?: EnvVar[] }[] };
    };
  };
}

/** What the containers are told. */
export interface SinkVariables {
  sinkUri: string;
  ca?: string;
  overrides?: CloudEventOverrides;
}

export function variablesOf({ spec }: SinkBinding, { uri, ca }: ResolvedAddress): SinkVariables {
  const { ceOverrides: overrides } = spec;
  return { sinkUri: uri, ...(ca !== undefined && { ca }), ...(overrides && { overrides }) };
}

const names = ['K_SINK', 'K_CE_OVERRIDES', 'K_CA_CERTS'];

/** Sets the variables in every container of `object` (which it changes); whether that made a difference. */
export function injectSink(object: PodSpecable, variables: SinkVariables): boolean {
  const wanted: EnvVar[] = [{ name: 'K_SINK', value: variables.sinkUri }];
  wanted.push({ name: 'K_CE_OVERRIDES', value: JSON.stringify(variables.overrides ?? {}) });
  if (variables.ca !== undefined) wanted.push({ name: 'K_CA_CERTS', value: variables.ca });
  return setVariables(object, wanted);
}

/** Takes the variables out of every container of `object` (which it changes); whether there were any. */
export function removeSink(object: PodSpecable): boolean {
  return setVariables(object, []);
}

/** Containers that have what is wanted keep their order, so that no new revision comes of it. */
function setVariables(object: PodSpecable, wanted: readonly EnvVar[]): boolean {
  const pod = object.spec?.template?.spec;
  let isChanged = false;
  for (const container of [...(pod?.containers ?? []), ...(pod?.initContainers ?? [])]) {
    const env = container.env ?? [];
    const present = env.filter(({ name }) => names.includes(name));
    const isSame =
      present.length === wanted.length &&
      wanted.every((w) => present.some((p) => p.name === w.name && p.value === w.value && p.valueFrom === undefined));
    if (isSame) continue;
    isChanged = true;
    const others = env.filter(({ name }) => !names.includes(name));
    const next = [...others, ...wanted.map((variable) => ({ ...variable }))];
    if (next.length > 0) container.env = next;
    else delete container.env;
  }
  return isChanged;
}
