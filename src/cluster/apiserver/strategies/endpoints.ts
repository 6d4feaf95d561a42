import { type Endpoints, EndpointsKind } from '../../../api/core/endpoints.ts';
import { type EndpointSlice, EndpointSliceKind } from '../../../api/discovery/endpoint-slice.ts';
import { table } from '../http/table/column.ts';
import type { Strategy } from '../strategy.ts';
import { some } from './cells.ts';

export const endpoints: Strategy<Endpoints> = {
  kind: EndpointsKind,
  columns: table<Endpoints>({
    Endpoints: ({ subsets = [] }) =>
      some(
        subsets.flatMap(({ addresses = [], ports = [] }) =>
          addresses.flatMap(({ ip }) => (ports.length === 0 ? [ip] : ports.map(({ port }) => `${ip}:${port}`))),
        ),
      ),
  }),
};

export const endpointSlices: Strategy<EndpointSlice> = {
  kind: EndpointSliceKind,
  columns: table<EndpointSlice>({
    AddressType: (slice) => slice.addressType,
    Ports: (slice) => some((slice.ports ?? []).map(({ port }) => `${port ?? '*'}`)) ?? '<unset>',
    Endpoints: (slice) => some((slice.endpoints ?? []).flatMap((endpoint) => endpoint.addresses)) ?? '<unset>',
  }),
};
