import { annotations, labels } from '../../../api/serving/names.ts';
import type { Revision } from '../../../api/serving/revision.ts';

/** What changes with the traffic and not with the revision stays off the children: it would roll their pods. */
const ownLabels = new Set<string>([labels.route, labels.routingState]);
const ownAnnotations = new Set<string>([annotations.noGc, annotations.routes, annotations.routingStateModified]);

/** The labels of all that a revision makes. */
export function childLabels(revision: Revision): Record<string, string> {
  const { name, uid, labels: own } = revision.metadata;
  return {
    app: name,
    ...filter(own, (key) => !ownLabels.has(key)),
    [labels.revision]: name,
    [labels.revisionUid]: uid ?? '',
  };
}

/** Selects the revision's pods. */
export const podSelector = (revision: Revision): Record<string, string> => ({
  [labels.revisionUid]: revision.metadata.uid ?? '',
});

/** The annotations of its pods. */
export const podAnnotations = (revision: Revision): Record<string, string> =>
  filter(
    revision.metadata.annotations,
    (key) => !ownAnnotations.has(key) && !key.startsWith('autoscaling.knative.dev/'),
  );

/** The annotations of its PodAutoscaler: those of scaling as well. */
export const scalingAnnotations = (revision: Revision): Record<string, string> =>
  filter(revision.metadata.annotations, (key) => !ownAnnotations.has(key));

function filter(map: Record<string, string> | undefined, keep: (key: string) => boolean): Record<string, string> {
  return Object.fromEntries(Object.entries(map ?? {}).filter(([key]) => keep(key)));
}
