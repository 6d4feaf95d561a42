import { type Build, BuildKind } from '../../api/build/build.ts';
import { apiVersionOf } from '../../api/kind.ts';
import { inNamespaceOf } from '../../api/meta.ts';
import type { Configuration } from '../../api/serving/configuration.ts';
import { annotations, labels } from '../../api/serving/names.ts';
import { type Revision, RevisionKind, servingContainerOf } from '../../api/serving/revision.ts';

import { childName } from '../child-name.ts';

/** `<configuration>-00001`: the name of what a generation makes, its Revision and its Build. */
export function generationName(configuration: Configuration): string {
  return childName(configuration.metadata.name, `-${String(configuration.metadata.generation ?? 1).padStart(5, '0')}`);
}

export const revisionNameOf = (configuration: Configuration): string =>
  configuration.spec.template.metadata?.name || generationName(configuration);

/** The Build of this generation of a Configuration that has `spec.build`. */
export function makeBuild(configuration: Configuration): Build {
  const { build } = configuration.spec;
  if (!build) throw new Error(`Configuration ${configuration.metadata.name} has no spec.build`);
  return {
    apiVersion: apiVersionOf(BuildKind),
    kind: BuildKind.kind,
    metadata: {
      name: generationName(configuration),
      ...inNamespaceOf(configuration),
      labels: { ...childLabels(configuration) },
    },
    spec: build,
  };
}

/** The Revision of this generation, with `image` (what the build made) in the serving container. */
export function makeRevision(configuration: Configuration, image: string | undefined, now: string): Revision {
  const template = structuredClone(configuration.spec.template);
  const container = servingContainerOf(template.spec);
  if (container && image !== undefined) container.image = image;
  const updater = configuration.metadata.annotations?.[annotations.lastModifier];
  return {
    apiVersion: apiVersionOf(RevisionKind),
    kind: RevisionKind.kind,
    metadata: {
      name: revisionNameOf(configuration),
      ...inNamespaceOf(configuration),
      labels: { ...template.metadata?.labels, ...childLabels(configuration), [labels.routingState]: 'pending' },
      annotations: {
        ...template.metadata?.annotations,
        ...(updater ? { [annotations.creator]: updater } : {}),
        [annotations.routingStateModified]: now,
      },
    },
    spec: template.spec,
  };
}

function childLabels(configuration: Configuration): Record<string, string> {
  const { name, uid, generation, labels: own } = configuration.metadata;
  const service = own?.[labels.service];
  const serviceUid = own?.[labels.serviceUid];
  return {
    [labels.configuration]: name,
    [labels.configurationGeneration]: String(generation ?? 1),
    ...(uid ? { [labels.configurationUid]: uid } : {}),
    ...(service ? { [labels.service]: service } : {}),
    ...(serviceUid ? { [labels.serviceUid]: serviceUid } : {}),
  };
}
