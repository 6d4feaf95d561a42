import { type EndpointSlice, serviceNameLabel } from '../../api/discovery/endpoint-slice.ts';

/** EndpointSlices by the Service whose they are, as their label says. Keys are `namespace/name`. */
export class SliceIndex {
  readonly #byService = new Map<string, Map<string, EndpointSlice>>();

  of(service: string): Iterable<EndpointSlice> {
    return this.#byService.get(service)?.values() ?? [];
  }

  /** Puts `slice` in the place of `old`, one of them absent when it is new or gone; returns the Services concerned. */
  replace(old: EndpointSlice | undefined, slice: EndpointSlice | undefined): Set<string> {
    const concerned = new Set<string>();
    const before = old && serviceOf(old);
    if (old !== undefined && before !== undefined) {
      const all = this.#byService.get(before);
      all?.delete(old.metadata.name);
      if (all?.size === 0) this.#byService.delete(before);
      concerned.add(before);
    }
    const after = slice && serviceOf(slice);
    if (slice !== undefined && after !== undefined) {
      const all = this.#byService.get(after) ?? new Map<string, EndpointSlice>();
      this.#byService.set(after, all.set(slice.metadata.name, slice));
      concerned.add(after);
    }
    return concerned;
  }
}

function serviceOf({ metadata }: EndpointSlice): string | undefined {
  const name = metadata.labels?.[serviceNameLabel];
  return name === undefined ? undefined : `${metadata.namespace ?? ''}/${name}`;
}
