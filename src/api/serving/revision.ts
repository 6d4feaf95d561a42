import { sameJson } from '../../lib/same-json.ts';
import { type Container, podSpecSchema } from '../core/pod-spec.ts';
import { type FieldError, fieldForbidden, fieldRequired } from '../field-error.ts';
import { conditionColumns, defineKind } from '../kind.ts';
import { type KubeObject, statusFields } from '../meta.ts';
import { array, integer, map, object, string, type ValueOf } from '../schema.ts';
import { autoscalerConfigOf } from './autoscaler-config.ts';
import { scaleAlike, validateAutoscalingAnnotations } from './autoscaling-annotations.ts';
import { labels, servingGroup } from './names.ts';
import { setRevisionSpecDefaults } from './revision-defaults.ts';
import { validateRevisionSpec } from './revision-validation.ts';

const seconds = (description: string) => integer({ format: 'int64', description });

/** A pod's spec and what Serving adds to it. Containers may be left out when a build makes the image. */
export const revisionSpecSchema = object(
  {
    ...podSpecSchema.properties,
    containerConcurrency: integer({ format: 'int64', description: 'Requests at once per pod; 0 is no limit.' }),
    timeoutSeconds: seconds('From the arrival of a request to the beginning of its reply, waiting included.'),
    responseStartTimeoutSeconds: seconds('Until the first byte of the reply.'),
    idleTimeoutSeconds: seconds('Without a byte written by the container.'),
  },
  { present: ['containers'], description: 'The containers to run and how requests reach them.' },
);

export interface RevisionSpec extends ValueOf<typeof revisionSpecSchema> {}

export const revisionTemplateSchema = object(
  {
    metadata: {
      ...object({
        name: string(),
        generateName: string(),
        labels: map(),
        annotations: map(),
        finalizers: array(string()),
        namespace: string(),
      }),
      'x-kubernetes-preserve-unknown-fields': true,
    },
    spec: revisionSpecSchema,
  },
  { present: ['spec'], description: 'What new revisions are made from.' },
);

/** What a Configuration stamps its revisions from. */
export interface RevisionTemplate extends ValueOf<typeof revisionTemplateSchema> {}

const containerStatusesSchema = array(object({ name: string(), imageDigest: string() }, { present: ['name'] }));

const statusSchema = object({
  ...statusFields,
  logUrl: string(),
  containerStatuses: containerStatusesSchema,
  initContainerStatuses: containerStatusesSchema,
  actualReplicas: integer(),
  desiredReplicas: integer(),
});

export interface RevisionStatus extends ValueOf<typeof statusSchema> {}

const revisionSchema = object(
  {
    spec: revisionSpecSchema,
    status: statusSchema,
  },
  {
    present: ['spec'],
    description: 'An immutable snapshot of code and configuration, with its image pinned to a digest.',
  },
);

/** An immutable snapshot of code and configuration, with its image pinned to a digest. */
export interface Revision extends KubeObject, ValueOf<typeof revisionSchema> {}

export const RevisionKind = defineKind<Revision>({
  group: servingGroup,
  version: 'v1',
  kind: 'Revision',
  shortNames: ['rev'],
  categories: ['all', 'knative', 'serving'],
  schema: revisionSchema,
  columns: [
    { name: 'Config Name', type: 'string', jsonPath: ".metadata.labels['serving\\.knative\\.dev/configuration']" },
    {
      name: 'Generation',
      type: 'string',
      jsonPath: ".metadata.labels['serving\\.knative\\.dev/configurationGeneration']",
    },
    ...conditionColumns('Ready'),
    { name: 'Actual Replicas', type: 'integer', jsonPath: '.status.actualReplicas' },
    { name: 'Desired Replicas', type: 'integer', jsonPath: '.status.desiredReplicas' },
  ],

  setDefaults(revision, { old, config }) {
    // An existing revision is immutable: defaults that changed since must not change it.
    if (old === undefined && revision.spec) setRevisionSpecDefaults(revision.spec, config);
  },

  validate(revision, { old, config }) {
    const { annotations } = revision.metadata;
    const isScaledAnew = old === undefined || !scaleAlike(old.metadata.annotations, annotations);
    const errors: FieldError[] = [
      ...(isScaledAnew
        ? validateAutoscalingAnnotations(annotations, 'metadata.annotations', autoscalerConfigOf(config))
        : []),
      ...validateOwnerLabel(revision, old, labels.configuration, 'Configuration'),
    ];
    if (old === undefined) {
      return [...errors, ...validateRevisionSpec(revision.spec, 'spec', { hasBuild: false, config })];
    }
    if (!sameJson(old.spec, revision.spec)) {
      errors.push(
        fieldForbidden('spec', 'Immutable fields changed: a revision never changes, update its Configuration instead'),
      );
    }
    return errors;
  },
});

/** The container that has the port, or the first one; undefined in a spec that has none yet. */
export function servingContainerOf(spec: Pick<RevisionSpec, 'containers'> | undefined): Container | undefined {
  const containers = spec?.containers;
  if (!Array.isArray(containers)) return undefined;
  return containers.find((container) => container.ports?.length) ?? containers[0];
}

/**
 * A label that names the owner must agree with the owner references when it is set; an owner that is deleted and leaves
 * what it owns behind is taken out of these alone.
 */
export function validateOwnerLabel(
  object: KubeObject,
  old: KubeObject | undefined,
  label: string,
  ownerKind: string,
): FieldError[] {
  const name = object.metadata.labels?.[label];
  if (name === undefined || name === old?.metadata.labels?.[label]) return [];
  const isOwned = object.metadata.ownerReferences?.some((owner) => owner.kind === ownerKind && owner.name === name);
  return isOwned
    ? []
    : [fieldRequired(`metadata.labels[${label}]`, `missing field(s): no owner reference to ${ownerKind} "${name}"`)];
}
