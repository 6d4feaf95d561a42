import { type FieldError, fieldInvalid } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { integer, object, string, type ValueOf } from '../schema.ts';

const leaseSchema = object({
  spec: object({
    holderIdentity: string(),
    leaseDurationSeconds: integer({ format: 'int32' }),
    acquireTime: string({ format: 'date-time', nullable: true }),
    renewTime: string({ format: 'date-time', nullable: true }),
    leaseTransitions: integer({ format: 'int32' }),
    strategy: string(),
    preferredHolder: string(),
  }),
});

/** Who leads, until when: `renewTime` plus `leaseDurationSeconds`. Times are RFC 3339 with microseconds. */
export interface Lease extends KubeObject, ValueOf<typeof leaseSchema> {}

export const LeaseKind = defineKind<Lease>({
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  hasStatus: false,
  schema: leaseSchema,
  columns: [{ name: 'Holder', type: 'string', jsonPath: '.spec.holderIdentity' }],
  validate(lease) {
    const errors: FieldError[] = [];
    const { leaseDurationSeconds: duration, leaseTransitions: transitions } = lease.spec ?? {};
    if (duration !== undefined && duration <= 0) {
      errors.push(fieldInvalid('spec.leaseDurationSeconds', duration, 'must be greater than 0'));
    }
    if (transitions !== undefined && transitions < 0) {
      errors.push(fieldInvalid('spec.leaseTransitions', transitions, 'must be greater than or equal to 0'));
    }
    return errors;
  },
});
