import type { ObjectReference } from '../core/event.ts';
import { objectReferenceSchema } from '../core/event.ts';
import { type FieldError, fieldForbidden, fieldInvalid } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { anything, array, boolean, integer, map, object, string } from '../schema.ts';

export interface EndpointConditions {
  /** Takes new traffic: serving and not terminating. */
  ready?: boolean;
  serving?: boolean;
  terminating?: boolean;
}

export interface Endpoint {
  addresses: string[];
  conditions?: EndpointConditions;
  hostname?: string;
  nodeName?: string;
  targetRef?: ObjectReference;
  zone?: string;
}

export interface EndpointPort {
  name?: string;
  port?: number;
  protocol?: string;
  appProtocol?: string;
}

/** Some of the addresses behind a Service, which all have the same ports. */
export interface EndpointSlice extends KubeObject {
  addressType: 'IPv4' | 'IPv6' | 'FQDN';
  endpoints: Endpoint[];
  ports?: EndpointPort[];
}

/** The label that names a slice's Service. */
export const serviceNameLabel = 'kubernetes.io/service-name';

const endpointsMax = 1000;

export const EndpointSliceKind = defineKind<EndpointSlice>({
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  hasStatus: false,
  schema: object(
    {
      addressType: string({ enum: ['IPv4', 'IPv6', 'FQDN'] }),
      endpoints: array(
        object(
          {
            addresses: array(string(), { 'x-kubernetes-list-type': 'set' }),
            conditions: object({ ready: boolean(), serving: boolean(), terminating: boolean() }),
            hostname: string(),
            nodeName: string(),
            zone: string(),
            targetRef: objectReferenceSchema,
            deprecatedTopology: map(),
            hints: anything(),
          },
          { required: ['addresses'] },
        ),
        { 'x-kubernetes-list-type': 'atomic' },
      ),
      ports: array(
        object({ name: string(), port: integer({ format: 'int32' }), protocol: string(), appProtocol: string() }),
        { 'x-kubernetes-list-type': 'atomic' },
      ),
    },
    { required: ['addressType', 'endpoints'] },
  ),
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
  validate(slice, old) {
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
