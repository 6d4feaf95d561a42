import type { Configuration } from '../../../api/kind.ts';
import { type Level, levels } from './levels.ts';

export interface PodSecuritySettings {
  /** For namespaces whose labels say nothing. */
  defaultLevel: Level;
  /** What is not judged at all. */
  exempt: {
    namespaces: readonly string[];
    users: readonly string[];
    runtimeClasses: readonly string[];
  };
}

/** Where an operator says otherwise. */
const configMap = 'kube-system/pod-security';

/**
 * What the ConfigMap says: `default-level`, and comma-separated `exempt-namespaces`, `exempt-users` and
 * `exempt-runtime-classes`. A level that there is not is no reason to let anything in: it stands for `restricted`.
 */
export function podSecuritySettings(config: Configuration): PodSecuritySettings {
  const data = config[configMap] ?? {};
  const level = data['default-level'] ?? 'baseline';
  return {
    defaultLevel: (levels as readonly string[]).includes(level) ? (level as Level) : 'restricted',
    exempt: {
      namespaces: listed(data['exempt-namespaces'] ?? 'kube-system'),
      users: listed(data['exempt-users']),
      runtimeClasses: listed(data['exempt-runtime-classes']),
    },
  };
}

const listed = (text = ''): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
