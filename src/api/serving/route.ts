import { addressableFields } from '../eventing/destination.ts';
import { conditionColumns, defineKind } from '../kind.ts';
import { type KubeObject, statusFields } from '../meta.ts';
import { object, string, type ValueOf } from '../schema.ts';
import { setAuthorship, validateAuthorship } from './authorship.ts';
import { validateNoAutoscalingAnnotations } from './autoscaling-annotations.ts';
import { validateWholeSeconds } from './duration-annotation.ts';
import { annotations, labels, servingGroup } from './names.ts';
import { validateObjectName } from './object-name.ts';
import { validateOwnerLabel } from './revision.ts';
import { setTrafficDefaults, trafficSchema, validateTraffic } from './traffic.ts';

/** Status fields that Route and Service share. */
export const routeStatusProperties = {
  url: string(),
  /** Where the Route is reached from inside: what events are sent to. */
  address: addressableFields.address,
  traffic: trafficSchema,
};

const specSchema = object({ traffic: trafficSchema });

const statusSchema = object({
  ...statusFields,
  ...routeStatusProperties,
});

const routeSchema = object(
  {
    spec: specSchema,
    status: statusSchema,
  },
  { present: ['spec'], description: 'A name under which requests are shared out over revisions.' },
);

/** A name under which requests are shared out over revisions. */
export interface Route extends KubeObject, ValueOf<typeof routeSchema> {}

export const RouteKind = defineKind<Route>({
  group: servingGroup,
  version: 'v1',
  kind: 'Route',
  shortNames: ['rt'],
  categories: ['all', 'knative', 'serving'],
  schema: routeSchema,
  columns: [{ name: 'URL', type: 'string', jsonPath: '.status.url' }, ...conditionColumns('Ready')],

  setDefaults(route, context) {
    route.spec ??= {};
    route.spec.traffic = setTrafficDefaults(route.spec.traffic, false);
    setAuthorship(route, context);
  },

  validate(route, context) {
    return [
      ...validateObjectName(route),
      ...validateNoAutoscalingAnnotations(route.metadata.annotations),
      ...validateOwnerLabel(route, context.old, labels.service, 'Service'),
      ...validateWholeSeconds(route.metadata.annotations, annotations.rolloutDuration, 'metadata.annotations'),
      ...validateTraffic(route.spec.traffic ?? [], 'spec.traffic', false),
      ...validateAuthorship(route, context),
    ];
  },
});
