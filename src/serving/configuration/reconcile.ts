import { type Build, BuildKind } from '../../api/build/build.ts';
import { type Condition, type Key, timestamp } from '../../api/meta.ts';
import { type Configuration, ConfigurationKind, type ConfigurationStatus } from '../../api/serving/configuration.ts';
import { labels } from '../../api/serving/names.ts';
import { type Revision, RevisionKind } from '../../api/serving/revision.ts';
import { ApiError, isAlreadyExists } from '../../api/status.ts';
import { transitionTime } from '../../kube/conditions.ts';
import { ensure, NotOwnedError } from '../../kube/ensure.ts';
import { type Controller, ownedByName, type Reconcile, type ReconcileContext } from '../../kube/reconciler.ts';
import { updateStatus } from '../../kube/update-status.ts';
import { sameJson } from '../../lib/same-json.ts';
import { conditionOf, isReady, readyConditionOf } from '../ready.ts';
import { generationName, makeBuild, makeRevision, revisionNameOf } from './resources.ts';

/** Configuration → (Build →) Revision for each generation; which revision is the newest, and the newest ready one. */
export function configurationController(): Controller<Configuration> {
  return {
    name: 'configuration',
    kind: ConfigurationKind,
    reconcile: reconcileConfiguration,
    watches: [
      ownedByName(RevisionKind, ConfigurationKind, (configuration) => [revisionNameOf(configuration)]),
      ownedByName(BuildKind, ConfigurationKind, (configuration) => [generationName(configuration)]),
    ],
  };
}

/** What a phase says of the newest generation; the first that is not settled ends the reconcile. */
type Progress = { image: string | undefined } | Verdict;
interface Verdict {
  status: Condition['status'];
  reason: string;
  message: string;
}

export const reconcileConfiguration: Reconcile<Configuration> = async (configuration, context) => {
  if (configuration.metadata.deletionTimestamp) return;
  const status: ConfigurationStatus = {
    ...configuration.status,
    observedGeneration: configuration.metadata.generation ?? 1,
  };
  const built = await buildImage(configuration, context);
  if ('status' in built) {
    setReady(configuration, status, built, context);
    // The newest revision is of an older generation: whatever it does now, it is not what was asked for.
    findLatestReady(configuration, status, context);
  } else {
    const made = await ensureRevision(configuration, built.image, context);
    if ('failure' in made) setReady(configuration, status, made.failure, context);
    else reportRevision(configuration, made.revision, status, context);
  }
  reportBuild(configuration, built, status, context);
  await updateStatus(context, configuration, status);
};

/** With `spec.build`, the image that the Build of this generation made, by digest. */
async function buildImage(configuration: Configuration, context: ReconcileContext): Promise<Progress> {
  if (!configuration.spec.build) return { image: undefined };
  // A generation that has its revision needs no build any more, even when the Build is long gone.
  const revision = existingRevision(configuration, context);
  if (revision) return { image: undefined };
  try {
    const update = (current: Build) => current;
    return verdictOf(await ensure(context, BuildKind, makeBuild(configuration), { owner: configuration, update }));
  } catch (error) {
    if (!(error instanceof NotOwnedError)) throw error;
    const message = `There is an existing Build "${generationName(configuration)}" that we do not own.`;
    return { status: 'False', reason: 'NotOwned', message };
  }
}

function verdictOf(build: Build): Progress {
  const succeeded = conditionOf(build, 'Succeeded');
  const image = build.status?.output?.image;
  if (succeeded?.status === 'True' && image) return { image };
  if (succeeded?.status === 'False') {
    const message = `Build "${build.metadata.name}" failed: ${succeeded.message ?? succeeded.reason ?? 'no message'}`;
    return { status: 'False', reason: 'BuildFailed', message };
  }
  return {
    status: 'Unknown',
    reason: succeeded?.reason || 'Building',
    message: succeeded?.message || `Build "${build.metadata.name}" has not finished.`,
  };
}

async function ensureRevision(
  configuration: Configuration,
  image: string | undefined,
  context: ReconcileContext,
): Promise<{ revision: Revision } | { failure: Verdict }> {
  const existing = existingRevision(configuration, context);
  if (existing) return { revision: existing };
  const name = revisionNameOf(configuration);
  const desired = makeRevision(configuration, image, timestamp(context.clock.now()));
  try {
    const revision = await ensure(context, RevisionKind, desired, {
      owner: configuration,
      update: (current) => current,
    });
    return isOfThisGeneration(revision, configuration) || sameJson(revision.spec, desired.spec)
      ? { revision }
      : creationFailed(`revisions.serving.knative.dev "${name}" already exists`);
  } catch (error) {
    if (error instanceof NotOwnedError || isAlreadyExists(error)) {
      return creationFailed(`revisions.serving.knative.dev "${name}" already exists`);
    }
    // What the API server refuses it will refuse again: the condition says why.
    if (error instanceof ApiError && error.code >= 400 && error.code < 500 && error.code !== 409) {
      return creationFailed(error.message);
    }
    throw error;
  }
}

const creationFailed = (message: string): { failure: Verdict } => ({
  failure: {
    status: 'False',
    reason: 'RevisionFailed',
    message: `Revision creation failed with message: ${message}.`,
  },
});

/** The Revision of this generation; with a name of one's own, it may be of an earlier one with the same spec. */
function existingRevision(configuration: Configuration, context: ReconcileContext): Revision | undefined {
  const revision = context.cache.get(RevisionKind, keyIn(configuration, revisionNameOf(configuration)));
  const isOurs = revision?.metadata.ownerReferences?.some((o) => o.controller && o.uid === configuration.metadata.uid);
  return revision && isOurs && isOfThisGeneration(revision, configuration) ? revision : undefined;
}

const isOfThisGeneration = (revision: Revision, configuration: Configuration): boolean =>
  revision.metadata.labels?.[labels.configurationGeneration] === String(configuration.metadata.generation ?? 1);

function reportRevision(
  configuration: Configuration,
  revision: Revision,
  status: ConfigurationStatus,
  context: ReconcileContext,
): void {
  const name = revision.metadata.name;
  status.latestCreatedRevisionName = name;
  const ready = readyConditionOf(revision);
  if (ready?.status === 'False') {
    const message = `Revision "${name}" failed with message: ${ready.message ?? ''}.`;
    setReady(configuration, status, { status: 'False', reason: 'RevisionFailed', message }, context);
  } else if (status.latestReadyRevisionName !== name) {
    setReady(
      configuration,
      status,
      { status: 'Unknown', reason: ready?.reason ?? '', message: ready?.message ?? '' },
      context,
    );
  }
  findLatestReady(configuration, status, context);
  if (status.latestReadyRevisionName === name && ready?.status !== 'False') {
    setReady(configuration, status, { status: 'True', reason: '', message: '' }, context);
  }
}

/**
 * The ready revision of the highest generation. It never goes back: when the latest ready revision fails, traffic is
 * not silently given to an older one.
 */
function findLatestReady(configuration: Configuration, status: ConfigurationStatus, context: ReconcileContext): void {
  const ownName = configuration.spec.template.metadata?.name;
  const generation = (revision: Revision) =>
    revision.metadata.name === ownName
      ? Number.POSITIVE_INFINITY
      : Number(revision.metadata.labels?.[labels.configurationGeneration] ?? 0);
  const revisions = context.cache.ownedBy(RevisionKind, configuration);
  const current = revisions.find((revision) => revision.metadata.name === status.latestReadyRevisionName);
  let latest = current;
  for (const revision of revisions) {
    if (isReady(revision) && (!latest || generation(revision) > generation(latest))) latest = revision;
  }
  if (latest) status.latestReadyRevisionName = latest.metadata.name;
}

/** Only a Configuration that builds has the condition BuildSucceeded. */
function reportBuild(
  configuration: Configuration,
  built: Progress,
  status: ConfigurationStatus,
  context: ReconcileContext,
): void {
  if (!configuration.spec.build) {
    status.conditions = (status.conditions ?? []).filter((condition) => condition.type !== 'BuildSucceeded');
    return;
  }
  const verdict: Verdict = 'status' in built ? built : { status: 'True', reason: '', message: '' };
  setCondition(configuration, status, 'BuildSucceeded', verdict, context);
}

function setReady(
  configuration: Configuration,
  status: ConfigurationStatus,
  verdict: Verdict,
  context: ReconcileContext,
): void {
  setCondition(configuration, status, 'Ready', verdict, context);
}

/** Ready has no dependents here, as in Knative: it speaks of the newest revision, which the phases judge. */
function setCondition(
  configuration: Configuration,
  status: ConfigurationStatus,
  type: string,
  verdict: Verdict,
  context: ReconcileContext,
): void {
  const others = (status.conditions ?? []).filter((condition) => condition.type !== type);
  const now = timestamp(context.clock.now());
  const condition: Condition = {
    type,
    status: verdict.status,
    lastTransitionTime: transitionTime(configuration.status?.conditions, type, verdict.status, now),
    ...(verdict.reason ? { reason: verdict.reason } : {}),
    ...(verdict.message ? { message: verdict.message } : {}),
  };
  status.conditions = [...others, condition].sort((a, b) => (a.type < b.type ? -1 : 1));
}

function keyIn(configuration: Configuration, name: string): Key {
  const { namespace } = configuration.metadata;
  return namespace === undefined ? { name } : { namespace, name };
}
