import { defineKind } from '../kind.ts';
import type { Conditioned, KubeObject } from '../meta.ts';
import { conditionsSchema, integer, map, object, string } from '../schema.ts';
import { validateNoAutoscalingAnnotations } from './autoscaling-annotations.ts';
import { validateWholeSeconds } from './duration-annotation.ts';
import { annotations, labels } from './names.ts';
import { validateObjectName } from './object-name.ts';
import { validateOwnerLabel } from './revision.ts';
import { setTrafficDefaults, type TrafficTarget, trafficSchema, validateTraffic } from './traffic.ts';

/** A name under which requests are shared out over revisions. */
export interface Route extends KubeObject {
  spec: RouteSpec;
  status?: RouteStatus;
}

export interface RouteSpec {
  traffic?: TrafficTarget[];
}

export interface RouteStatus extends Conditioned {
  url?: string;
  /** Where the Route is reached from inside: what events are sent to. */
  address?: { url?: string };
  traffic?: TrafficTarget[];
}

/** Status fields that Route and Service share. */
export const routeStatusProperties = {
  url: string(),
  address: object({ name: string(), url: string(), CACerts: string(), audience: string() }),
  traffic: trafficSchema,
};

export const RouteKind = defineKind<Route>({
  group: 'serving.knative.dev',
  version: 'v1',
  kind: 'Route',
  shortNames: ['rt'],
  categories: ['all', 'knative', 'serving'],
  schema: object(
    {
      spec: object({ traffic: trafficSchema }),
      status: object({
        conditions: conditionsSchema,
        observedGeneration: integer(),
        annotations: map(),
        ...routeStatusProperties,
      }),
    },
    { description: 'A name under which requests are shared out over revisions.' },
  ),
  columns: [
    { name: 'URL', type: 'string', jsonPath: '.status.url' },
    { name: 'Ready', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].status" },
    { name: 'Reason', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].reason" },
  ],

  setDefaults(route) {
    route.spec ??= {};
    route.spec.traffic = setTrafficDefaults(route.spec.traffic, false);
  },

  validate(route) {
    return [
      ...validateObjectName(route),
      ...validateNoAutoscalingAnnotations(route.metadata.annotations),
      ...validateOwnerLabel(route, labels.service, 'Service'),
      ...validateWholeSeconds(route.metadata.annotations, annotations.rolloutDuration, 'metadata.annotations'),
      ...validateTraffic(route.spec.traffic ?? [], 'spec.traffic', false),
    ];
  },
});
