import { parseGoDurationMs } from '../../lib/go-duration.ts';
import { sameJson } from '../../lib/same-json.ts';
import { type FieldError, fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../field-error.ts';
import { ageColumn, conditionColumns, defineKind } from '../kind.ts';
import { type KubeObject, statusFields } from '../meta.ts';
import { array, boolean, map, object, string, type ValueOf } from '../schema.ts';

export const defaultBuildTimeout = '10m';
const maxBuildTimeoutMs = 24 * 3_600_000;
/** The only template so far. */
const autoTemplate = 'auto';

const sourceKinds = ['git', 'folder', 'ociArtifact', 'files'] as const;

const gitSchema = object(
  {
    url: string({ description: 'Where to fetch from: https://, http://, ssh:// or git@host:path.' }),
    revision: string({ description: 'A branch, a tag or a full commit.' }),
  },
  { required: ['url', 'revision'] },
);

interface GitSource extends ValueOf<typeof gitSchema> {}

const sourceSchema = object(
  {
    git: gitSchema,
    /** The CLI uploads it and replaces it by an `ociArtifact`. */
    folder: string({ description: "A path beside the manifest, which 'kittiwake apply' uploads." }),
    ociArtifact: object({ image: string({ description: 'An uploaded folder, by digest.' }) }, { required: ['image'] }),
    files: map(string(), { description: 'Files given inline: path to text.' }),
    /** What is above it is invisible. */
    subPath: string({ description: 'The folder of the source that is built.' }),
  },
  { description: 'Exactly one of git, folder, ociArtifact and files.' },
);

interface BuildSource extends ValueOf<typeof sourceSchema> {}

const templateSchema = object(
  {
    kind: string({ enum: ['BuildTemplate', 'ClusterBuildTemplate'] }),
    name: string(),
    arguments: array(object({ name: string(), value: string() }, { required: ['name', 'value'] })),
  },
  { required: ['name'], description: 'How to build; without it the language is detected.' },
);

interface BuildTemplateRef extends ValueOf<typeof templateSchema> {}

const envSchema = object({ name: string(), value: string() }, { required: ['name'] });

interface BuildEnv extends ValueOf<typeof envSchema> {}

export const buildSpecSchema = object(
  {
    source: sourceSchema,
    template: templateSchema,
    timeout: string({ description: 'A duration such as 90s or 1h30m; 10m unless given, at most 24h.' }),
    serviceAccountName: string(),
    /** Arbitrary code of strangers, so off by default. */
    allowScripts: boolean({ description: 'Lets dependencies run their install scripts.' }),
    /** Not of the running service. */
    env: array(envSchema, { description: 'Variables of the build steps.' }),
  },
  { required: ['source'], description: 'From source to an image in the registry.' },
);

export interface BuildSpec extends ValueOf<typeof buildSpecSchema> {}

const statusSchema = object({
  ...statusFields,
  startTime: string(),
  completionTime: string(),
  /** What the source was resolved to before anything was hashed. */
  source: object({ commit: string(), digest: string() }),
  /** `image` is by digest: `registry.localhost/default/orders@sha256:…`. */
  output: object({ image: string(), digest: string() }, { present: ['image', 'digest'] }),
  /** The last 16 KiB of what the build printed. */
  log: string(),
});

export interface BuildStatus extends ValueOf<typeof statusSchema> {}

const buildSchema = object({ spec: buildSpecSchema, status: statusSchema }, { required: ['spec'] });

/**
 * One run from source to an image in a registry: build.knative.dev/v1alpha1 plus what it never had, a digest as
 * result.
 */
export interface Build extends KubeObject, ValueOf<typeof buildSchema> {}

/** What the schema cannot say of a BuildSpec at `at`, for example `spec.build`. */
export function validateBuildSpec(spec: BuildSpec, at: string): FieldError[] {
  return [
    ...validateSource(spec.source ?? {}, `${at}.source`),
    ...validateTemplate(spec.template, `${at}.template`),
    ...validateTimeout(spec.timeout, `${at}.timeout`),
    ...validateEnv(spec.env ?? [], `${at}.env`),
  ];
}

/** How long the build may take, in milliseconds. */
export function buildTimeoutMs(spec: BuildSpec): number {
  const ms = parseGoDurationMs(spec.timeout ?? defaultBuildTimeout);
  return ms === undefined || ms === 0 ? (parseGoDurationMs(defaultBuildTimeout) ?? 0) : ms;
}

export const BuildKind = defineKind<Build>({
  group: 'build.knative.dev',
  version: 'v1alpha1',
  kind: 'Build',
  categories: ['all', 'knative', 'build'],
  schema: buildSchema,
  columns: [
    ...conditionColumns('Succeeded'),
    { name: 'Digest', type: 'string', jsonPath: '.status.output.digest', priority: 1 },
    { name: 'StartTime', type: 'date', jsonPath: '.status.startTime', priority: 1 },
    { name: 'CompletionTime', type: 'date', jsonPath: '.status.completionTime', priority: 1 },
    ageColumn,
  ],
  setDefaults(build) {
    if (build.spec && build.spec.timeout === undefined) build.spec.timeout = defaultBuildTimeout;
  },
  validate(build, { old }) {
    if (old && !sameJson(old.spec, build.spec)) {
      return [fieldForbidden('spec', 'a Build runs once: its spec cannot change, create another Build')];
    }
    return validateBuildSpec(build.spec, 'spec');
  },
});

function validateSource(source: BuildSource, at: string): FieldError[] {
  const given = sourceKinds.filter((kind) => source[kind] !== undefined);
  if (given.length === 0) return [fieldRequired(at, `give exactly one of ${sourceKinds.join(', ')}`)];
  if (given.length > 1) {
    return [fieldForbidden(at, `exactly one of ${sourceKinds.join(', ')} may be given, not ${given.join(' and ')}`)];
  }
  const errors: FieldError[] = [];
  if (source.git) errors.push(...validateGit(source.git, `${at}.git`));
  if (source.folder === '') errors.push(fieldRequired(`${at}.folder`, "a path, '.' for the manifest's own folder"));
  if (source.ociArtifact && !/^[^@\s]+@sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$/.test(source.ociArtifact.image ?? '')) {
    const remedy = 'must name the artifact by digest: host/name@sha256:…';
    errors.push(fieldInvalid(`${at}.ociArtifact.image`, source.ociArtifact.image, remedy));
  }
  for (const path of Object.keys(source.files ?? {})) {
    if (!isInnerPath(path) || path === '.') {
      errors.push(fieldInvalid(`${at}.files[${path}]`, path, 'must be a relative path that stays inside the source'));
    }
  }
  if (source.files && Object.keys(source.files).length === 0) {
    errors.push(fieldRequired(`${at}.files`, 'at least one file'));
  }
  if (source.subPath !== undefined && !isInnerPath(source.subPath)) {
    errors.push(
      fieldInvalid(`${at}.subPath`, source.subPath, "must be a relative path inside the source, without '..'"),
    );
  }
  return errors;
}

function validateGit(git: GitSource, at: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!git.url) errors.push(fieldRequired(`${at}.url`));
  else if (
    !/^(https?|ssh):\/\/(?:[^\s/@]*@)*[^\s/@-][^\s/@]*(?:\/\S*)?$/.test(git.url) &&
    !/^[A-Za-z0-9_.]+@[A-Za-z0-9][^\s:]*:[^\s-]\S*$/.test(git.url)
  ) {
    errors.push(fieldInvalid(`${at}.url`, git.url, 'must be https://…, http://…, ssh://… or user@host:path'));
  }
  if (!git.revision) errors.push(fieldRequired(`${at}.revision`, 'a branch, a tag or a full commit'));
  else if (!isGitRevision(git.revision)) {
    errors.push(fieldInvalid(`${at}.revision`, git.revision, 'must be a branch, a tag or a full commit'));
  }
  return errors;
}

/** The rules of git-check-ref-format(1), which also keep a revision from being read as an option of git. */
function isGitRevision(revision: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
  if (/[\u0000-\u0020\u007f~^:?*[\\]/.test(revision) || revision.length > 255) return false;
  if (revision.includes('..') || revision.includes('@{') || revision.includes('//') || revision === '@') return false;
  return !/^[-/]|[/.]$|\.lock$|(^|\/)\./.test(revision);
}

function validateTemplate(template: BuildTemplateRef | undefined, at: string): FieldError[] {
  if (!template) return [];
  if (template.name !== autoTemplate) return [fieldNotSupported(`${at}.name`, template.name, [autoTemplate])];
  return (template.arguments ?? []).map((argument, i) =>
    fieldForbidden(`${at}.arguments[${i}]`, `the template ${autoTemplate} has no parameter named "${argument.name}"`),
  );
}

function validateTimeout(timeout: string | undefined, at: string): FieldError[] {
  if (timeout === undefined) return [];
  const ms = parseGoDurationMs(timeout);
  if (ms === undefined) return [fieldInvalid(at, timeout, 'must be a duration such as 90s, 10m or 1h30m')];
  if (ms < 0 || ms > maxBuildTimeoutMs) return [fieldInvalid(at, timeout, 'must be from 0 to 24h')];
  return [];
}

/** Variables that would change what the build tools themselves load or run. */
const injectableEnv = /^(LD_.*|DYLD_.*|NODE_OPTIONS|NODE_PATH|PATH|HOME|BASH_ENV|ENV|IFS|GIT_.*|npm_config_.*)$/i;

function validateEnv(env: readonly BuildEnv[], at: string): FieldError[] {
  const errors: FieldError[] = [];
  env.forEach(({ name }, i) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name ?? '')) {
      errors.push(fieldInvalid(`${at}[${i}].name`, name, 'must be letters, digits and _, not starting with a digit'));
    } else if (injectableEnv.test(name)) {
      errors.push(fieldForbidden(`${at}[${i}].name`, `${name} would change the build tools themselves`));
    }
  });
  return errors;
}

/** Whether `path` is relative and stays inside, without `..`, empty or hidden-by-encoding segments. */
function isInnerPath(path: string): boolean {
  if (path === '.' || path === './') return true;
  if (path === '' || path.startsWith('/') || path.includes('\\') || path.includes('\0')) return false;
  const segments = path.replace(/^\.\//, '').replace(/\/$/, '').split('/');
  return segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..');
}
