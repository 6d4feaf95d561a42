import { type FieldError, fieldInvalid } from '../../../api/field-error.ts';

/** From what anything may do to what is held by the hardest rules (Pod Security Standards). */
export const levels = ['privileged', 'baseline', 'restricted'] as const;
export type Level = (typeof levels)[number];

/** The rules of a release, 1.N; those of the newest one that we know, for `latest` and for whatever comes after it. */
export type Version = number | 'latest';

export interface LevelVersion {
  level: Level;
  version: Version;
}

/** What is refused, what is noted, and what the client is warned of. */
export interface PodPolicy {
  enforce: LevelVersion;
  audit: LevelVersion;
  warn: LevelVersion;
}

export const modes = ['enforce', 'audit', 'warn'] as const;
const labelOf = (mode: string) => `pod-security.kubernetes.io/${mode}`;

/** `restricted:latest`, `baseline:v1.29`. */
export const nameOf = ({ level, version }: LevelVersion): string =>
  `${level}:${version === 'latest' ? version : `v1.${version}`}`;

export const isStricter = (a: Level, b: Level): boolean => levels.indexOf(a) > levels.indexOf(b);

/**
 * What the labels of a namespace say, and the defaults where they say nothing. A level that cannot be read is enforced
 * as `restricted`, and neither noted nor warned of.
 */
export function policyOf(
  labels: Readonly<Record<string, string>> | undefined,
  defaults: PodPolicy,
): { policy: PodPolicy; errors: FieldError[] } {
  const errors: FieldError[] = [];
  const policy = structuredClone(defaults);
  const given = (label: string) => (labels && Object.hasOwn(labels, label) ? labels[label] : undefined);
  for (const mode of modes) {
    const level = given(labelOf(mode));
    const version = given(labelOf(`${mode}-version`));
    if (level !== undefined) {
      const isKnown = (levels as readonly string[]).includes(level);
      policy[mode].level = isKnown ? (level as Level) : mode === 'enforce' ? 'restricted' : 'privileged';
      if (!isKnown) errors.push(wrongLabel(labelOf(mode), level, `must be one of ${levels.join(', ')}`));
    }
    if (version !== undefined) {
      policy[mode].version = parseVersion(version) ?? 'latest';
      const remedy = 'must be "latest" or "v1.x"';
      if (parseVersion(version) === undefined) errors.push(wrongLabel(labelOf(`${mode}-version`), version, remedy));
    }
  }
  const { enforce, warn } = policy;
  const isEnforceSaid = levels.includes(given(labelOf('enforce')) as Level);
  if (given(labelOf('warn')) === undefined && isEnforceSaid && isStricter(enforce.level, warn.level)) {
    warn.level = enforce.level;
    if (given(labelOf('warn-version')) === undefined) warn.version = enforce.version;
  }
  return { policy, errors };
}

const wrongLabel = (label: string, value: string, remedy: string) =>
  fieldInvalid(`metadata.labels[${label}]`, value, remedy);

function parseVersion(text: string): Version | undefined {
  if (text === 'latest') return text;
  const minor = /^v1\.(0|[1-9]\d{0,8})$/.exec(text)?.[1];
  return minor === undefined ? undefined : Number(minor);
}
