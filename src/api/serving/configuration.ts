import { buildSpecSchema } from '../build/build.ts';
import { conditionColumns, defineKind } from '../kind.ts';
import { type KubeObject, statusFields } from '../meta.ts';
import { nullable, object, string, type ValueOf } from '../schema.ts';
import { setAuthorship, validateAuthorship } from './authorship.ts';
import { validateNoAutoscalingAnnotations } from './autoscaling-annotations.ts';
import { labels, servingGroup } from './names.ts';
import { revisionTemplateSchema, validateOwnerLabel } from './revision.ts';
import { setTemplateDefaults, validateNameChange, validateTemplate } from './template.ts';

/** `spec.build` of Service and Configuration. */
export const stickyBuildSchema = nullable(buildSpecSchema);

const specSchema = object(
  {
    /** Makes the image of the serving container from source. Sticky: only `null` (or another image) removes it. */
    build: stickyBuildSchema,
    template: revisionTemplateSchema,
  },
  { present: ['template'] },
);

export interface ConfigurationSpec extends ValueOf<typeof specSchema> {}

const statusSchema = object({
  ...statusFields,
  latestCreatedRevisionName: string(),
  latestReadyRevisionName: string(),
});

const configurationSchema = object(
  {
    spec: specSchema,
    status: statusSchema,
  },
  {
    present: ['spec'],
    description: 'The floating head of a line of revisions: each change of its spec makes the next one.',
  },
);

/** The floating head of a line of revisions: each change of its spec makes the next one. */
export interface Configuration extends KubeObject, ValueOf<typeof configurationSchema> {}

export const ConfigurationKind = defineKind<Configuration>({
  group: servingGroup,
  version: 'v1',
  kind: 'Configuration',
  shortNames: ['config', 'cfg'],
  categories: ['all', 'knative', 'serving'],
  schema: configurationSchema,
  columns: [
    { name: 'LatestCreated', type: 'string', jsonPath: '.status.latestCreatedRevisionName' },
    { name: 'LatestReady', type: 'string', jsonPath: '.status.latestReadyRevisionName' },
    ...conditionColumns('Ready'),
  ],

  setDefaults(configuration, context) {
    configuration.spec ??= {} as ConfigurationSpec;
    setTemplateDefaults(configuration.spec, context.old?.spec, context.config);
    setAuthorship(configuration, context);
  },

  validate(configuration, context) {
    return [
      ...validateNoAutoscalingAnnotations(configuration.metadata.annotations),
      ...validateOwnerLabel(configuration, context.old, labels.service, 'Service'),
      ...validateTemplate(configuration, context),
      ...(context.old ? validateNameChange(configuration.spec, context.old.spec) : []),
      ...validateAuthorship(configuration, context),
    ];
  },
});
