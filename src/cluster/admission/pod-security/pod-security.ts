import { DeploymentKind } from '../../../api/apps/deployment.ts';
import { ReplicaSetKind } from '../../../api/apps/replica-set.ts';
import { type Namespace, NamespaceKind } from '../../../api/core/namespace.ts';
import { type Pod, PodKind } from '../../../api/core/pod.ts';
import type { PodSpec, PodTemplateSpec } from '../../../api/core/pod-spec.ts';
import type { FieldError } from '../../../api/field-error.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/meta.ts';
import { forbidden } from '../../../api/status.ts';
import type { Admission, AdmissionRequest } from '../../../kube/admission.ts';
import type { Client } from '../../../kube/client.ts';
import { sameJson } from '../../../lib/same-json.ts';
import type { Logger } from '../../../observe/log.ts';
import { type Checked, told, violations } from './checks.ts';
import { isStricter, type Level, type LevelVersion, nameOf, type PodPolicy, policyOf } from './levels.ts';
import type { PodSecuritySettings } from './settings.ts';

export interface PodSecurityOptions {
  /** Asked at each write. */
  settings: () => PodSecuritySettings;
  /** Asked for namespaces, and for the pods of one whose level rises. */
  client: () => Client;
  log: Logger;
}

/** So many pods of a namespace are looked at when its level rises (Kubernetes' number). */
const podsMax = 3000;

/** Holds pods to the level of their namespace, in the words of Kubernetes' plugin of this name. */
export function podSecurityAdmission(options: PodSecurityOptions): Admission {
  const { client, log, settings } = options;

  return {
    name: 'PodSecurity',
    kinds: [PodKind, NamespaceKind, DeploymentKind, ReplicaSetKind].map((kind) => kind as unknown as Kind),
    async validate(request) {
      if (request.kind.kind === NamespaceKind.kind) return judgeNamespace(request);
      const { namespace = '', user } = request;
      const { exempt } = settings();
      if (exempt.namespaces.includes(namespace) || exempt.users.includes(user.name)) return [];
      if (request.kind.kind !== PodKind.kind) {
        if (request.subresource === undefined) await judge(request, templateOf(request.object), false);
        return [];
      }
      const pod = request.object as Pod;
      if (request.old && !isSignificant(pod.spec, (request.old as Pod).spec)) return [];
      await judge(request, { annotations: pod.metadata.annotations ?? {}, spec: pod.spec }, true);
      return [];
    },
  };

  async function judge(request: AdmissionRequest, checked: Checked, isPod: boolean): Promise<void> {
    const { kind, namespace = '', object, warnings } = request;
    const { runtimeClassName } = checked.spec;
    const { defaultLevel, exempt } = settings();
    if (runtimeClassName !== undefined && exempt.runtimeClasses.includes(runtimeClassName)) return;
    const found = await client().get(NamespaceKind, { name: namespace });
    const { policy } = policyOf(found?.metadata.labels, everywhere(defaultLevel));
    const ofEnforced = isPod ? violations(checked, policy.enforce) : [];
    if (ofEnforced.length > 0) {
      const why = `violates PodSecurity "${nameOf(policy.enforce)}": ${told(ofEnforced)}`;
      throw forbidden(kind, object.metadata.name ?? '', why);
    }
    const ofAudit = violations(checked, policy.audit);
    if (ofAudit.length > 0) {
      const { name } = object.metadata;
      const level = nameOf(policy.audit);
      log.info({ kind: kind.kind, namespace, name, level, violations: told(ofAudit) }, 'would violate PodSecurity');
    }
    const ofWarn = violations(checked, policy.warn);
    if (ofWarn.length > 0) warnings.push(`would violate PodSecurity "${nameOf(policy.warn)}": ${told(ofWarn)}`);
  }

  async function judgeNamespace({ object, old, subresource, warnings }: AdmissionRequest): Promise<FieldError[]> {
    if (subresource !== undefined) return [];
    const { defaultLevel, exempt } = settings();
    const defaults = everywhere(defaultLevel);
    const { errors, policy } = policyOf(object.metadata.labels, defaults);
    if (!old) return errors;
    const before = policyOf(old.metadata.labels, defaults);
    // What was wrong before does not keep the namespace from being changed, or from ending.
    if (errors.length > 0) return sameJson(errors, before.errors) ? [] : errors;
    const [next, last] = [policy.enforce, before.policy.enforce];
    if (sameJson(next, last) || next.level === 'privileged') return [];
    if (next.version === last.version && !isStricter(next.level, last.level)) return [];
    if (exempt.namespaces.includes(object.metadata.name)) return [];
    warnings.push(...(await warningsOf(object as Namespace, next, exempt.runtimeClasses)));
    return [];
  }

  /** Which of the pods that run could not be made any more. */
  async function warningsOf(
    { metadata: { name: namespace } }: Namespace,
    level: LevelVersion,
    exempt: readonly string[],
  ): Promise<string[]> {
    const { items } = await client().list(PodKind, { namespace });
    const judged = items.filter(({ spec }) => !exempt.includes(spec.runtimeClassName ?? ''));
    const byReason = new Map<string, string[]>();
    for (const { metadata, spec } of judged.slice(0, podsMax)) {
      const found = violations({ annotations: metadata.annotations ?? {}, spec }, level);
      if (found.length === 0) continue;
      const reason = found.map((each) => each.reason).join(', ');
      byReason.set(reason, [...(byReason.get(reason) ?? []), metadata.name]);
    }
    const warnings: string[] = [];
    if (judged.length > podsMax) {
      const part = `the first ${podsMax} of ${judged.length} existing pods`;
      warnings.push(`new PodSecurity enforce level only checked against ${part}`);
    }
    if (byReason.size > 0) {
      const which = `existing pods in namespace "${namespace}"`;
      warnings.push(`${which} violate the new PodSecurity enforce level "${nameOf(level)}"`);
    }
    return [...warnings, ...[...byReason].map(([reason, names]) => `${someOf(names)}: ${reason}`).sort()];
  }
}

function everywhere(level: Level): PodPolicy {
  const standard = (): LevelVersion => ({ level, version: 'latest' });
  return { enforce: standard(), audit: standard(), warn: standard() };
}

function someOf(names: readonly string[]): string {
  const [first = '', ...others] = names.toSorted();
  if (others.length === 0) return first;
  return `${first} (and ${others.length} other ${others.length === 1 ? 'pod' : 'pods'})`;
}

function templateOf(object: KubeObject): Checked {
  const { template } = (object as unknown as { spec: { template: PodTemplateSpec } }).spec;
  return { annotations: template.metadata?.annotations ?? {}, spec: template.spec };
}

/** What of a pod's update could change the answer: an image, or a container that is added. */
function isSignificant(next: PodSpec, old: PodSpec): boolean {
  return (['containers', 'initContainers', 'ephemeralContainers'] as const).some((list) => {
    const before = new Map((old[list] ?? []).map(({ image, name }) => [name, image]));
    const now = next[list] ?? [];
    return now.length !== before.size || now.some(({ image, name }) => before.get(name) !== image);
  });
}
