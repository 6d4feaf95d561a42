import { keyOf } from '../../api/meta.ts';
import { type Configuration, ConfigurationKind } from '../../api/serving/configuration.ts';
import { RevisionKind } from '../../api/serving/revision.ts';
import { type Controller, owned } from '../../kube/reconciler.ts';
import { configWatch } from '../config/config-map.ts';
import { gcConfigName, gcConfigReader } from '../config/gc.ts';
import { collect } from './collect.ts';

/** Deletes revisions that nobody has used for long. */
export function gcController(): Controller<Configuration> {
  const readConfig = gcConfigReader();
  return {
    name: 'revision-gc',
    kind: ConfigurationKind,
    async reconcile(configuration, { client, cache, clock, log }) {
      if (configuration.metadata.deletionTimestamp) return;
      const revisions = cache.ownedBy(RevisionKind, configuration);
      const { stale, againAfterMs } = collect(configuration, revisions, readConfig(cache, log), clock.now());
      for (const revision of stale) {
        const { uid } = revision.metadata;
        await client.delete(RevisionKind, keyOf(revision), uid === undefined ? {} : { preconditions: { uid } });
        log.info({ revision: revision.metadata.name }, 'collected');
      }
      return againAfterMs === undefined ? undefined : { requeueAfterMs: againAfterMs };
    },
    watches: [owned(RevisionKind, ConfigurationKind), configWatch(gcConfigName, ConfigurationKind)],
  };
}
