import { sameJson } from '../../lib/same-json.ts';
import { type BuildSpec, validateBuildSpec } from '../build/build.ts';
import { type FieldError, fieldForbidden, fieldInvalid } from '../field-error.ts';
import type { Configuration, KindContext } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { dnsLabel1035Rule, isDnsLabel1035 } from '../names.ts';
import { autoscalerConfigOf } from './autoscaler-config.ts';
import { validateAutoscalingAnnotations } from './autoscaling-annotations.ts';
import { validateWholeSeconds } from './duration-annotation.ts';
import { annotations, buildOutputImage } from './names.ts';
import { validateObjectName } from './object-name.ts';
import { type RevisionTemplate, servingContainerOf } from './revision.ts';
import { setRevisionSpecDefaults } from './revision-defaults.ts';
import { validateRevisionSpec } from './revision-validation.ts';

/** The part of a spec that Service and Configuration share: what to build, and what revisions are made from. */
export interface TemplateHolder {
  /** Null removes it. */
  build?: BuildSpec | null;
  template?: RevisionTemplate;
}

/** Images in the embedded registry: what builds make. */
const builtImagePrefix = 'registry.localhost/';

/**
 * `spec.build` is sticky: a client that does not know the field and PUTs the object back without it does not remove it.
 * It goes when it is null, or when an image is given that no build makes.
 */
function keepBuild(spec: TemplateHolder, old: TemplateHolder | undefined): void {
  if (spec.build === null) {
    delete spec.build;
    return;
  }
  if (
    spec.build === undefined &&
    old?.build &&
    !servingContainerOf(spec.template?.spec)?.image?.match(/^(?!build:\/\/|registry\.localhost\/)/)
  ) {
    spec.build = structuredClone(old.build);
  }
  if (!spec.build) return;
  // With a build, a template is not needed: the image alone may be all that there is to run.
  spec.template ??= { spec: { containers: [] } };
  spec.template.spec ??= { containers: [] };
  spec.template.spec.containers ??= [];
  if (spec.template.spec.containers.length === 0) spec.template.spec.containers.push({ name: '' });
  const container = servingContainerOf(spec.template?.spec);
  // `kn service update` writes the digest of the last revision into the template: that is still "what the build makes".
  if (container?.image?.startsWith(builtImagePrefix)) container.image = buildOutputImage;
}

/** Fills in what the template and the build leave out, as Knative does; changes `spec`. */
export function setTemplateDefaults(
  spec: TemplateHolder,
  old: TemplateHolder | undefined,
  config: Configuration,
): void {
  keepBuild(spec, old);
  const name = spec.template?.metadata?.name;
  // A named revision that keeps its name must stay the same: new defaults would look like a change of it.
  if (name && name === old?.template?.metadata?.name) return;
  if (spec.template?.spec) setRevisionSpecDefaults(spec.template.spec, config);
}

/** Knative's rules for the name and `spec.template` of `owner`, and those of `spec.build`. */
export function validateTemplate(
  owner: KubeObject & { spec: TemplateHolder },
  { config }: Pick<KindContext, 'config'>,
): FieldError[] {
  const { build, template } = owner.spec;
  const path = 'spec.template';
  const metadata = template?.metadata;
  const revision = template?.spec ?? { containers: [] };
  return [
    ...validateObjectName(owner),
    ...(build ? validateBuildSpec(build, 'spec.build') : []),
    ...validateRevisionSpec(revision, `${path}.spec`, { hasBuild: Boolean(build), config }),
    ...validateAutoscalingAnnotations(
      metadata?.annotations,
      `${path}.metadata.annotations`,
      autoscalerConfigOf(config),
    ),
    ...validateWholeSeconds(metadata?.annotations, annotations.progressDeadline, `${path}.metadata.annotations`),
    ...validateRevisionName(owner, metadata, `${path}.metadata`),
  ];
}

function validateRevisionName(owner: KubeObject, metadata: RevisionTemplate['metadata'], path: string): FieldError[] {
  const name = metadata?.name;
  if (!name) return [];
  if (!isDnsLabel1035(name)) return [fieldInvalid(`${path}.name`, name, `not a DNS 1035 label: ${dnsLabel1035Rule}`)];
  if (!owner.metadata.name && owner.metadata.generateName) {
    return [fieldForbidden(`${path}.name`, 'must not set the field(s) together with metadata.generateName')];
  }
  const prefix = `${owner.metadata.name}-`;
  return name.startsWith(prefix) ? [] : [fieldInvalid(`${path}.name`, name, `"${name}" must have prefix "${prefix}"`)];
}

/** A template that names its revision ("bring your own name") needs a new name for each change. */
export function validateNameChange(spec: TemplateHolder, old: TemplateHolder): FieldError[] {
  const name = spec.template?.metadata?.name;
  if (!name || name !== old.template?.metadata?.name) return [];
  if (sameJson(spec.template, old.template) && sameJson(spec.build, old.build)) return [];
  return [
    fieldInvalid(
      'spec.template.metadata.name',
      name,
      'Saw changes of the template without a name change: a revision never changes, give the new one another name',
    ),
  ];
}
