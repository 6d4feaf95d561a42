import { type ConfigMap, ConfigMapKind } from '../../api/core/config-map.ts';
import type { Kind } from '../../api/kind.ts';
import { keyOf } from '../../api/meta.ts';
import { systemNamespace } from '../../api/serving/names.ts';
import type { Cache, Watch } from '../../kube/reconciler.ts';
import type { Logger } from '../../observe/log.ts';

/** What a ConfigMap of the operator says; its defaults while there is none. */
export type ConfigReader<T> = (cache: Cache, log: Logger) => T;

/**
 * Reads the ConfigMap `name` in knative-serving through `parse`, which throws an Error naming the key that is wrong:
 * then the last good values stay in force, and the log says so once.
 */
export function configReader<T>(name: string, parse: (data: Record<string, string>) => T): ConfigReader<T> {
  let good = parse({});
  let seen: ConfigMap | undefined;
  return (cache, log) => {
    const found = cache.get(ConfigMapKind, { namespace: systemNamespace, name });
    if (found === seen) return good;
    seen = found;
    try {
      good = parse(found?.data ?? {});
    } catch (error) {
      log.error({ configMap: name, err: error }, 'configuration is invalid: the last good one stays in force');
    }
    return good;
  };
}

/** Reconciles every object of `kind` when the ConfigMap changes. */
export function configWatch(name: string, kind: Kind): Watch {
  return {
    kind: ConfigMapKind,
    keys(object, cache) {
      const { metadata } = object;
      return metadata.name === name && metadata.namespace === systemNamespace ? cache.list(kind).map(keyOf) : [];
    },
  };
}
