import { apiVersionOf } from '../../api/kind.ts';
import { type Configuration, ConfigurationKind } from '../../api/serving/configuration.ts';
import { labels } from '../../api/serving/names.ts';
import { type Route, RouteKind } from '../../api/serving/route.ts';
import type { Service } from '../../api/serving/service.ts';
import { inheritedMetadata } from '../child-metadata.ts';

/** The Configuration that a Service wants: of its own name, with its labels and annotations. */
export function makeConfiguration(service: Service): Configuration {
  const { build, template } = service.spec;
  return {
    apiVersion: apiVersionOf(ConfigurationKind),
    kind: ConfigurationKind.kind,
    metadata: childMetadata(service),
    // Null says that there is none: `spec.build` is sticky, leaving it out would keep what is stored.
    spec: { build: build ?? null, template },
  };
}

/** The Route that a Service wants: shares without a revision go to the newest of the Service's own Configuration. */
export function makeRoute(service: Service): Route {
  const traffic = (service.spec.traffic ?? []).map((target) =>
    target.revisionName ? target : { ...target, configurationName: service.metadata.name },
  );
  return {
    apiVersion: apiVersionOf(RouteKind),
    kind: RouteKind.kind,
    metadata: childMetadata(service),
    spec: { traffic },
  };
}

function childMetadata(service: Service) {
  const { name, uid } = service.metadata;
  const inherited = inheritedMetadata(service);
  const own = { [labels.service]: name, ...(uid ? { [labels.serviceUid]: uid } : {}) };
  return { ...inherited, labels: { ...inherited.labels, ...own } };
}
