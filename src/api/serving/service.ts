import { conditionColumns, defineKind } from '../kind.ts';
import { type KubeObject, statusFields } from '../meta.ts';
import { object, string, type ValueOf } from '../schema.ts';
import { setAuthorship, validateAuthorship } from './authorship.ts';
import { validateNoAutoscalingAnnotations } from './autoscaling-annotations.ts';
import { stickyBuildSchema } from './configuration.ts';
import { validateWholeSeconds } from './duration-annotation.ts';
import { annotations, servingGroup } from './names.ts';
import { revisionTemplateSchema } from './revision.ts';
import { routeStatusProperties } from './route.ts';
import { setTemplateDefaults, validateNameChange, validateTemplate } from './template.ts';
import { setTrafficDefaults, trafficSchema, validateTraffic } from './traffic.ts';

const specSchema = object(
  { build: stickyBuildSchema, template: revisionTemplateSchema, traffic: trafficSchema },
  { present: ['template'] },
);

export interface ServiceSpec extends ValueOf<typeof specSchema> {}

const statusSchema = object({
  ...statusFields,
  latestCreatedRevisionName: string(),
  latestReadyRevisionName: string(),
  ...routeStatusProperties,
});

export interface ServiceStatus extends ValueOf<typeof statusSchema> {}

const serviceSchema = object(
  {
    spec: specSchema,
    status: statusSchema,
  },
  {
    present: ['spec'],
    description: 'A network service: a Configuration and a Route of the same name, looked after together.',
  },
);

/** A network service: a Configuration and a Route of the same name, looked after together. */
export interface Service extends KubeObject, ValueOf<typeof serviceSchema> {}

export const ServiceKind = defineKind<Service>({
  group: servingGroup,
  version: 'v1',
  kind: 'Service',
  shortNames: ['kservice', 'ksvc'],
  categories: ['all', 'knative', 'serving'],
  schema: serviceSchema,
  columns: [
    { name: 'URL', type: 'string', jsonPath: '.status.url' },
    { name: 'LatestCreated', type: 'string', jsonPath: '.status.latestCreatedRevisionName' },
    { name: 'LatestReady', type: 'string', jsonPath: '.status.latestReadyRevisionName' },
    ...conditionColumns('Ready'),
  ],

  setDefaults(service, context) {
    service.spec ??= {} as ServiceSpec;
    setTemplateDefaults(service.spec, context.old?.spec, context.config);
    service.spec.traffic = setTrafficDefaults(service.spec.traffic, true);
    setAuthorship(service, context);
  },

  validate(service, context) {
    return [
      ...validateNoAutoscalingAnnotations(service.metadata.annotations),
      ...validateWholeSeconds(service.metadata.annotations, annotations.rolloutDuration, 'metadata.annotations'),
      ...validateTemplate(service, context),
      ...validateTraffic(service.spec.traffic ?? [], 'spec.traffic', true),
      ...(context.old ? validateNameChange(service.spec, context.old.spec) : []),
      ...validateAuthorship(service, context),
    ];
  },
});
