import { defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { array, integer, object, string, type ValueOf } from '../schema.ts';
import { objectReferenceSchema } from './event.ts';

const addresses = array(
  object(
    { ip: string(), hostname: string(), nodeName: string(), targetRef: objectReferenceSchema },
    { required: ['ip'] },
  ),
  { 'x-kubernetes-list-type': 'atomic' },
);

const endpointsSchema = object({
  subsets: array(
    object({
      addresses,
      notReadyAddresses: addresses,
      ports: array(
        object(
          {
            name: string(),
            port: integer({ format: 'int32' }),
            protocol: string({ default: 'TCP' }),
            appProtocol: string(),
          },
          { required: ['port'] },
        ),
        { 'x-kubernetes-list-type': 'atomic' },
      ),
    }),
    { 'x-kubernetes-list-type': 'atomic' },
  ),
});

/** The older form of EndpointSlices. It is stored for those who write it; the platform itself reads slices only. */
export interface Endpoints extends KubeObject, ValueOf<typeof endpointsSchema> {}

export const EndpointsKind = defineKind<Endpoints>({
  group: '',
  version: 'v1',
  kind: 'Endpoints',
  singular: 'endpoints',
  plural: 'endpoints',
  shortNames: ['ep'],
  hasStatus: false,
  schema: endpointsSchema,
  columns: [{ name: 'Endpoints', type: 'string', jsonPath: '.subsets[*].addresses[*].ip' }],
});
