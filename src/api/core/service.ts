import { type FieldError, fieldInvalid } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { dnsLabel1035Rule, isDnsLabel1035 } from '../names.ts';
import type { ValueOf } from '../schema.ts';
import { setServiceDefaults } from './service-defaults.ts';
import { serviceSchema } from './service-spec.ts';
import { validateServiceSpec } from './service-validation.ts';

/** core/v1 Service: a name for a set of pods. (Knative's Service is `Service` of api/serving.) */
export interface CoreService extends KubeObject, ValueOf<typeof serviceSchema> {}
export const CoreServiceKind = defineKind<CoreService>({
  group: '',
  version: 'v1',
  kind: 'Service',
  shortNames: ['svc'],
  categories: ['all'],
  schema: serviceSchema,
  columns: [
    { name: 'Type', type: 'string', jsonPath: '.spec.type' },
    { name: 'Cluster-IP', type: 'string', jsonPath: '.spec.clusterIP' },
    { name: 'External-IP', type: 'string', jsonPath: '.status.loadBalancer.ingress[*].ip' },
    { name: 'Port(s)', type: 'string', jsonPath: '.spec.ports[*].port' },
    { name: 'Selector', type: 'string', jsonPath: '.spec.selector', priority: 1 },
  ],
  setDefaults(service, { old }) {
    service.spec ??= {};
    setServiceDefaults(service.spec, old?.spec);
  },
  validate({ metadata: { name }, spec }, { old }) {
    const errors: FieldError[] = [];
    if (!isDnsLabel1035(name)) errors.push(fieldInvalid('metadata.name', name, dnsLabel1035Rule));
    return [...errors, ...validateServiceSpec(spec, old?.spec)];
  },
});
