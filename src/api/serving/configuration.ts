import { type BuildSpec, buildSpecSchema } from '../build/build.ts';
import { defineKind } from '../kind.ts';
import type { Conditioned, KubeObject } from '../meta.ts';
import { conditionsSchema, integer, map, object, string } from '../schema.ts';
import { validateNoAutoscalingAnnotations } from './autoscaling-annotations.ts';
import { labels } from './names.ts';
import { type RevisionTemplate, revisionTemplateSchema, validateOwnerLabel } from './revision.ts';
import { setTemplateDefaults, validateNameChange, validateTemplate } from './template.ts';

/** The floating head of a line of revisions: each change of its spec makes the next one. */
export interface Configuration extends KubeObject {
  spec: ConfigurationSpec;
  status?: ConfigurationStatus;
}

export interface ConfigurationSpec {
  /** Makes the image of the serving container from source. Sticky: only `null` (or another image) removes it. */
  build?: BuildSpec | null;
  template: RevisionTemplate;
}

export interface ConfigurationStatus extends Conditioned {
  latestCreatedRevisionName?: string;
  latestReadyRevisionName?: string;
}

/** `spec.build` of Service and Configuration. */
export const stickyBuildSchema = { ...buildSpecSchema, nullable: true };

export const ConfigurationKind = defineKind<Configuration>({
  group: 'serving.knative.dev',
  version: 'v1',
  kind: 'Configuration',
  shortNames: ['config', 'cfg'],
  categories: ['all', 'knative', 'serving'],
  schema: object(
    {
      spec: object({ build: stickyBuildSchema, template: revisionTemplateSchema }),
      status: object({
        conditions: conditionsSchema,
        observedGeneration: integer(),
        annotations: map(),
        latestCreatedRevisionName: string(),
        latestReadyRevisionName: string(),
      }),
    },
    { description: 'The floating head of a line of revisions: each change of its spec makes the next one.' },
  ),
  columns: [
    { name: 'LatestCreated', type: 'string', jsonPath: '.status.latestCreatedRevisionName' },
    { name: 'LatestReady', type: 'string', jsonPath: '.status.latestReadyRevisionName' },
    { name: 'Ready', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].status" },
    { name: 'Reason', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].reason" },
  ],

  setDefaults(configuration, old) {
    configuration.spec ??= {} as ConfigurationSpec;
    setTemplateDefaults(configuration.spec, old?.spec);
  },

  validate(configuration, old) {
    return [
      ...validateNoAutoscalingAnnotations(configuration.metadata.annotations),
      ...validateOwnerLabel(configuration, labels.service, 'Service'),
      ...validateTemplate(configuration),
      ...(old ? validateNameChange(configuration.spec, old.spec) : []),
    ];
  },
});
