/**
 * Why a build failed, in the words of its `Succeeded` condition. Those of Knative Build are kept; the others follow
 * Shipwright's taxonomy.
 */
export type BuildFailureReason =
  | 'FolderNotUploaded'
  | 'GitRepositoryNotFound'
  | 'GitAuthRequired'
  | 'GitRevisionNotFound'
  | 'GitFetchFailed'
  | 'SourceNotFound'
  | 'SourceInvalid'
  | 'SourceTooLarge'
  | 'SubPathNotFound'
  | 'NotDetected'
  | 'LockfileMissing'
  | 'PackageManagerMissing'
  | 'InstallFailed'
  | 'CompileFailed'
  | 'EntryPointNotFound'
  | 'BuildTimeout'
  | 'BuildValidationFailed'
  | 'BuildFailed';

/** A build that cannot succeed without a change of its source or spec: building again gives the same. */
export class BuildFailure extends Error {
  readonly reason: BuildFailureReason;

  constructor(reason: BuildFailureReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BuildFailure';
    this.reason = reason;
  }
}
