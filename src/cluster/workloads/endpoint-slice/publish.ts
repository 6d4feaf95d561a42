import { type EndpointSlice, EndpointSliceKind } from '../../../api/discovery/endpoint-slice.ts';
import { keyOf } from '../../../api/meta.ts';
import type { ReconcileContext } from '../../../kube/reconciler.ts';
import { type EndpointGroup, fitSlices } from './slices.ts';

export const managedByLabel = 'endpointslice.kubernetes.io/managed-by';

/** Writes what makes `slices`, all that there are of one owner, hold `groups`; new ones as `make` says. */
export async function publish(
  { client }: Pick<ReconcileContext, 'client'>,
  service: string,
  groups: readonly EndpointGroup[],
  slices: readonly EndpointSlice[],
  make: (group: EndpointGroup, name: string) => EndpointSlice,
): Promise<void> {
  const sorted = [...slices].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const { update, create, remove } = fitSlices(groups, sorted);
  const taken = new Set(slices.map((slice) => slice.metadata.name));
  await Promise.all([
    ...update.map((slice) => client.update(EndpointSliceKind, slice)),
    ...create.map((group) => client.create(EndpointSliceKind, make(group, freeName(service, taken)))),
    ...remove.map((slice) => client.delete(EndpointSliceKind, keyOf(slice))),
  ]);
}

/** `<service>-1` and so on: creating one twice, from a cache that is behind, then fails instead of publishing twice. */
function freeName(service: string, taken: Set<string>): string {
  for (let i = 1; ; i++) {
    const name = `${service}-${i}`;
    if (taken.has(name)) continue;
    taken.add(name);
    return name;
  }
}
