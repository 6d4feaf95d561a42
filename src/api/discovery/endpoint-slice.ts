import { objectReferenceSchema } from '../core/event.ts';
import { type FieldError, fieldForbidden, fieldInvalid } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { array, atomicList, boolean, integer, map, object, string, type ValueOf } from '../schema.ts';

/** The label that names a slice's Service. */
export const serviceNameLabel = 'kubernetes.io/service-name';

const endpointsMax = 1000;

const named = object({ name: string() }, { required: ['name'] });

/** Ready takes new traffic: serving and not terminating. */
const endpointConditionsSchema = object({ ready: boolean(), serving: boolean(), terminating: boolean() });

export interface EndpointConditions extends ValueOf<typeof endpointConditionsSchema> {}

const endpointSchema = object(
  {
    addresses: array(string(), { 'x-kubernetes-list-type': 'set' }),
    conditions: endpointConditionsSchema,
    hostname: string(),
    nodeName: string(),
    zone: string(),
    targetRef: objectReferenceSchema,
    deprecatedTopology: map(),
    hints: object({ forZones: atomicList(named), forNodes: atomicList(named) }),
  },
  { required: ['addresses'] },
);

export interface Endpoint extends ValueOf<typeof endpointSchema> {}

const portSchema = object({
  name: string(),
  port: integer({ format: 'int32' }),
  protocol: string(),
  appProtocol: string(),
});

export interface EndpointPort extends ValueOf<typeof portSchema> {}

const endpointSliceSchema = object(
  {
    addressType: string({ enum: ['IPv4', 'IPv6', 'FQDN'] }),
    endpoints: atomicList(endpointSchema),
    ports: atomicList(portSchema),
  },
  { required: ['addressType', 'endpoints'] },
);

/** Some of the addresses behind a Service, which all have the same ports. */
export interface EndpointSlice extends KubeObject, ValueOf<typeof endpointSliceSchema> {}

export const EndpointSliceKind = defineKind<EndpointSlice>({
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  hasStatus: false,
  schema: endpointSliceSchema,
  columns: [
    { name: 'AddressType', type: 'string', jsonPath: '.addressType' },
    { name: 'Ports', type: 'string', jsonPath: '.ports[*].port' },
    { name: 'Endpoints', type: 'string', jsonPath: '.endpoints[*].addresses[0]' },
  ],
  setDefaults(slice) {
    for (const port of slice.ports ?? []) {
      port.name ??= '';
      port.protocol ??= 'TCP';
    }
  },
  validate(slice, { old }) {
    const errors: FieldError[] = [];
    if (old && old.addressType !== slice.addressType) {
      errors.push(fieldForbidden('addressType', 'field is immutable'));
    }
    if (slice.endpoints.length > endpointsMax) {
      errors.push(fieldInvalid('endpoints', slice.endpoints.length, `must have at most ${endpointsMax} items`));
    }
    slice.endpoints.forEach((endpoint, i) => {
      if (!endpoint.addresses?.length) {
        errors.push(fieldInvalid(`endpoints[${i}].addresses`, [], 'must contain at least 1 address'));
      }
    });
    return errors;
  },
});
