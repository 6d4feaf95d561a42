import { type Build, BuildKind } from '../../api/build/build.ts';
import { keyOf } from '../../api/meta.ts';
import { type Configuration, ConfigurationKind } from '../../api/serving/configuration.ts';
import { labels } from '../../api/serving/names.ts';
import { type Revision, RevisionKind } from '../../api/serving/revision.ts';
import { type Controller, owned } from '../../kube/reconciler.ts';
import { isFinished } from '../status.ts';

/** How many finished Builds of a Configuration stay, whoever uses their images. */
const keptBuilds = 10;

/** Deletes Builds of a Configuration that are old and whose image no Revision has. */
export function buildRetentionController(): Controller<Configuration> {
  return {
    name: 'build-retention',
    kind: ConfigurationKind,
    async reconcile(configuration, { client, cache, log }) {
      if (configuration.metadata.deletionTimestamp) return;
      const builds = cache.ownedBy(BuildKind, configuration);
      for (const build of staleBuilds(builds, cache.ownedBy(RevisionKind, configuration))) {
        const { uid, name } = build.metadata;
        await client.delete(BuildKind, keyOf(build), uid === undefined ? {} : { preconditions: { uid } });
        log.info({ build: name }, 'an old build was deleted');
      }
    },
    watches: [owned(BuildKind, ConfigurationKind), owned(RevisionKind, ConfigurationKind)],
  };
}

/**
 * The finished Builds that are neither among the newest nor made an image that a Revision has. Pure. The Build whose
 * Revision is yet to be made is of the newest generation, and so among the newest.
 */
export function staleBuilds(builds: readonly Build[], revisions: readonly Revision[]): Build[] {
  const images = new Set(revisions.flatMap(({ spec }) => spec.containers.map(({ image }) => image)));
  return builds
    .filter((build) => isFinished(build) && build.metadata.deletionTimestamp === undefined)
    .sort((a, b) => generationOf(b) - generationOf(a))
    .slice(keptBuilds)
    .filter(({ status }) => !images.has(status?.output?.image));
}

const generationOf = ({ metadata }: Build) => Number(metadata.labels?.[labels.configurationGeneration] ?? 0);
