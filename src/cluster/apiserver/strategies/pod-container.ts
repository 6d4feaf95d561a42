import type { Pod } from '../../../api/core/pod.ts';
import { badRequest } from '../../../api/status.ts';

/** The container that is asked for; unless one is, the pod's only one that is no init container, as in Kubernetes. */
export function containerOf({ metadata, spec }: Pod, asked: string | null): string {
  const names = spec.containers.map(({ name }) => name);
  const initNames = (spec.initContainers ?? []).map(({ name }) => name);
  const debugNames = (spec.ephemeralContainers ?? []).map(({ name }) => name);
  if (asked) {
    if ([...names, ...initNames, ...debugNames].includes(asked)) return asked;
    throw badRequest(`container ${asked} is not valid for pod ${metadata.name}`);
  }
  const [only, ...others] = names;
  if (only !== undefined && others.length === 0) return only;
  const orOthers = [
    [initNames, 'init'],
    [debugNames, 'ephemeral'],
  ] as const;
  const or = orOthers.map(([list, kind]) =>
    list.length === 0 ? '' : ` or one of the ${kind} containers: [${list.join(' ')}]`,
  );
  throw badRequest(
    `a container name must be specified for pod ${metadata.name}, choose one of: [${names.join(' ')}]${or.join('')}`,
  );
}
