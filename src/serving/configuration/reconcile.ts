import { type Build, BuildKind } from '../../api/build/build.ts';
import { conditionOf, siblingKey, timestamp } from '../../api/meta.ts';
import { type Configuration, ConfigurationKind } from '../../api/serving/configuration.ts';
import { labels } from '../../api/serving/names.ts';
import { type Revision, RevisionKind } from '../../api/serving/revision.ts';
import { ApiError, isAlreadyExists } from '../../api/status.ts';
import { conditionSet } from '../../kube/conditions.ts';
import { ensure, NotOwnedError } from '../../kube/ensure.ts';
import { type Run, reconcileInPhases } from '../../kube/phases.ts';
import { type Controller, ownedByName, type ReconcileContext } from '../../kube/reconciler.ts';
import { sameJson } from '../../lib/same-json.ts';
import { isReady, readyConditionOf } from '../ready.ts';
import { generationName, makeBuild, makeRevision, revisionNameOf } from './resources.ts';

type ConditionType = 'Ready' | 'BuildSucceeded';
/** Ready has no dependents here, as in Knative: it speaks of the newest revision, which the phases judge. */
const conditions = conditionSet<ConditionType>({ happy: 'Ready', dependents: [] });

interface Made {
  /** By digest, with `spec.build`. */
  image?: string;
  /** The newest. */
  revision?: Revision;
}
type ConfigurationRun = Run<Configuration, ConditionType> & Made;

/** Configuration → (Build →) Revision for each generation; which revision is the newest, and the newest ready one. */
export function configurationController(): Controller<Configuration> {
  return {
    name: 'configuration',
    kind: ConfigurationKind,
    reconcile: reconcileInPhases<Configuration, ConditionType, Made>({
      conditions,
      phases: [awaitBuild, ensureRevision, reportRevision],
    }),
    watches: [
      ownedByName(RevisionKind, ConfigurationKind, (configuration) => [revisionNameOf(configuration)]),
      ownedByName(BuildKind, ConfigurationKind, (configuration) => [generationName(configuration)]),
    ],
  };
}

/** What is said of the newest generation before it has its revision. */
interface Verdict {
  status: 'False' | 'Unknown';
  reason: string;
  message: string;
}

async function awaitBuild(run: ConfigurationRun, context: ReconcileContext): Promise<void> {
  const { object: configuration, conditions } = run;
  if (!configuration.spec.build) {
    conditions.clear('BuildSucceeded');
    return;
  }
  const built = await buildImage(configuration, context);
  if ('status' in built) {
    conditions.copy('BuildSucceeded', built);
    conditions.copy('Ready', built);
    // The newest revision is of an older generation: whatever it does now, it is not what was asked for.
    findLatestReady(run, context);
    run.isBlocked = true;
    return;
  }
  conditions.markTrue('BuildSucceeded');
  if (built.image !== undefined) run.image = built.image;
}

/** The image that the Build of this generation made, by digest; none where it is not needed any more. */
async function buildImage(
  configuration: Configuration,
  context: ReconcileContext,
): Promise<Pick<Made, 'image'> | Verdict> {
  // A generation that has its revision needs no build any more, even when the Build is long gone.
  if (existingRevision(configuration, context)) return {};
  try {
    const update = (current: Build) => current;
    return verdictOf(await ensure(context, BuildKind, makeBuild(configuration), { owner: configuration, update }));
  } catch (error) {
    if (!(error instanceof NotOwnedError)) throw error;
    const message = `There is an existing Build "${generationName(configuration)}" that we do not own.`;
    return { status: 'False', reason: 'NotOwned', message };
  }
}

function verdictOf(build: Build): { image: string } | Verdict {
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

async function ensureRevision(run: ConfigurationRun, context: ReconcileContext): Promise<void> {
  const { object: configuration } = run;
  const existing = existingRevision(configuration, context);
  if (existing) {
    run.revision = existing;
    return;
  }
  const name = revisionNameOf(configuration);
  const desired = makeRevision(configuration, run.image, timestamp(context.clock.now()));
  try {
    const revision = await ensure(context, RevisionKind, desired, {
      owner: configuration,
      update: (current) => current,
    });
    if (isOfThisGeneration(revision, configuration) || sameJson(revision.spec, desired.spec)) run.revision = revision;
    else creationFailed(run, `revisions.serving.knative.dev "${name}" already exists`);
  } catch (error) {
    if (error instanceof NotOwnedError || isAlreadyExists(error)) {
      creationFailed(run, `revisions.serving.knative.dev "${name}" already exists`);
    }
    // What the API server refuses it will refuse again: the condition says why.
    else if (error instanceof ApiError && error.code >= 400 && error.code < 500 && error.code !== 409) {
      creationFailed(run, error.message);
    } else throw error;
  }
}

function creationFailed(run: ConfigurationRun, why: string): void {
  run.conditions.markFalse('Ready', 'RevisionFailed', `Revision creation failed with message: ${why}.`);
  run.isBlocked = true;
}

/** The Revision of this generation; with a name of one's own, it may be of an earlier one with the same spec. */
function existingRevision(configuration: Configuration, context: ReconcileContext): Revision | undefined {
  const revision = context.cache.get(RevisionKind, siblingKey(configuration, revisionNameOf(configuration)));
  const isOurs = revision?.metadata.ownerReferences?.some((o) => o.controller && o.uid === configuration.metadata.uid);
  return revision && isOurs && isOfThisGeneration(revision, configuration) ? revision : undefined;
}

const isOfThisGeneration = (revision: Revision, configuration: Configuration): boolean =>
  revision.metadata.labels?.[labels.configurationGeneration] === String(configuration.metadata.generation ?? 1);

function reportRevision(run: ConfigurationRun, context: ReconcileContext): void {
  const { revision, status, conditions } = run;
  if (!revision) return;
  const { name } = revision.metadata;
  status.latestCreatedRevisionName = name;
  findLatestReady(run, context);
  const ready = readyConditionOf(revision);
  if (ready?.status === 'False') {
    const message = `Revision "${name}" failed with message: ${ready.message ?? ''}.`;
    conditions.markFalse('Ready', 'RevisionFailed', message);
  } else if (status.latestReadyRevisionName === name) conditions.markTrue('Ready');
  else conditions.markUnknown('Ready', ready?.reason ?? '', ready?.message ?? '');
}

/**
 * The ready revision of the highest generation. It never goes back: when the latest ready revision fails, traffic is
 * not silently given to an older one.
 */
function findLatestReady({ object: configuration, status }: ConfigurationRun, context: ReconcileContext): void {
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
