import { type FieldError, fieldDuplicate, fieldForbidden, fieldInvalid, fieldRequired } from '../field-error.ts';
import { dnsLabel1035Rule, isDnsLabel1035, isDnsSubdomain } from '../names.ts';
import { array, boolean, integer, object, string, type ValueOf } from '../schema.ts';

const targetSchema = object({
  tag: string({ description: 'Gives this target an address of its own.' }),
  revisionName: string({ description: 'A revision to send to; not together with configurationName.' }),
  configurationName: string({
    description: "The configuration whose newest ready revision is sent to; not in a Service's spec.",
  }),
  latestRevision: boolean({ description: 'Whether to follow the newest ready revision.' }),
  percent: integer({ description: 'The share of requests; all shares sum to 100.' }),
  url: string({ description: 'Where the tag is reached; in status only.' }),
});

/** One share of a Route's traffic, to one revision or to the newest ready one of a Configuration. */
export interface TrafficTarget extends ValueOf<typeof targetSchema> {}

export const trafficSchema = array(targetSchema);

/** Fills `latestRevision` and `percent`; with a default configuration, no traffic means all of it to the newest. */
export function setTrafficDefaults(
  traffic: TrafficTarget[] | undefined,
  hasDefaultConfiguration: boolean,
): TrafficTarget[] {
  if (!Array.isArray(traffic) || traffic.length === 0) {
    return hasDefaultConfiguration ? [{ latestRevision: true, percent: 100 }] : [];
  }
  for (const target of traffic) {
    target.latestRevision ??= !target.revisionName;
    target.percent ??= 0;
  }
  return traffic;
}

/** Knative's rules for `spec.traffic`; a Service's targets may not name a configuration: it is the Service's own. */
export function validateTraffic(
  traffic: readonly TrafficTarget[],
  path: string,
  hasDefaultConfiguration: boolean,
): FieldError[] {
  const errors = traffic.flatMap((target, i) => validateTarget(target, `${path}[${i}]`, hasDefaultConfiguration));
  const seen = new Map<string, number>();
  for (const [i, { tag }] of traffic.entries()) {
    if (!tag) continue;
    const first = seen.get(tag);
    if (first === undefined) seen.set(tag, i);
    else {
      const remedy = `Multiple definitions for "${tag}": also at ${path}[${first}].tag`;
      errors.push(fieldDuplicate(`${path}[${i}].tag`, tag, remedy));
    }
  }
  const sum = traffic.reduce((total, target) => total + (target.percent ?? 0), 0);
  if (sum !== 100) errors.push(fieldInvalid(path, sum, `Traffic targets sum to ${sum}, want 100`));
  return errors;
}

function validateTarget(target: TrafficTarget, path: string, hasDefaultConfiguration: boolean): FieldError[] {
  const errors: FieldError[] = [];
  const { tag, revisionName, configurationName, latestRevision, percent, url } = target;
  if (latestRevision !== undefined && latestRevision === Boolean(revisionName)) {
    errors.push(
      fieldInvalid(
        `${path}.latestRevision`,
        latestRevision,
        `may not set revisionName "${revisionName ?? ''}" when latestRevision is ${latestRevision}`,
      ),
    );
  }
  if (hasDefaultConfiguration && configurationName) {
    errors.push(fieldForbidden(`${path}.configurationName`, 'must not set the field(s) in a Service'));
  } else if (revisionName && configurationName) {
    errors.push(
      fieldForbidden(`${path}.configurationName`, 'expected exactly one of revisionName, configurationName; got both'),
    );
  } else if (!revisionName && !configurationName && !hasDefaultConfiguration) {
    errors.push(fieldRequired(path, 'expected exactly one of revisionName, configurationName; got neither'));
  }
  for (const [field, value] of Object.entries({ revisionName, configurationName })) {
    if (value && !isDnsSubdomain(value))
      errors.push(fieldInvalid(`${path}.${field}`, value, 'not a valid object name'));
  }
  if (percent !== undefined && (percent < 0 || percent > 100)) {
    errors.push(fieldInvalid(`${path}.percent`, percent, `expected 0 <= ${percent} <= 100`));
  }
  if (url) errors.push(fieldForbidden(`${path}.url`, 'must not set the field(s): the platform fills it in status'));
  if (tag && !isDnsLabel1035(tag))
    errors.push(fieldInvalid(`${path}.tag`, tag, `not a DNS 1035 label: ${dnsLabel1035Rule}`));
  return errors;
}
