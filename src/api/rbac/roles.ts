import { type FieldError, fieldInvalid, fieldRequired } from '../field-error.ts';
import { ageColumn, defineKind } from '../kind.ts';
import { type KubeObject, labelSelectorSchema } from '../meta.ts';
import { atomicList, object, string, type ValueOf } from '../schema.ts';

export const rbacGroup = 'rbac.authorization.k8s.io';

const strings = atomicList(string());
const ruleSchema = object(
  {
    verbs: strings,
    apiGroups: strings,
    resources: atomicList(string(), { description: 'Also `pods/log`, a subresource, and `*/scale`, one of any.' }),
    resourceNames: atomicList(string(), { description: 'Only objects of these names; any unless given.' }),
    nonResourceURLs: atomicList(string(), { description: 'Paths, also with a `*` at their end.' }),
  },
  { required: ['verbs'] },
);

/** What may be done with what: all verbs on all resources of all groups, or on all paths. */
export interface PolicyRule extends ValueOf<typeof ruleSchema> {}

const rulesSchema = atomicList(ruleSchema, { nullable: true });
const roleSchema = object({ rules: rulesSchema });
const clusterRoleSchema = object({
  rules: rulesSchema,
  aggregationRule: object({ clusterRoleSelectors: atomicList(labelSelectorSchema) }),
});

export interface Role extends KubeObject, ValueOf<typeof roleSchema> {}
export interface ClusterRole extends KubeObject, ValueOf<typeof clusterRoleSchema> {}

const common = { group: rbacGroup, version: 'v1', hasStatus: false, isPathNamed: true } as const;

export const RoleKind = defineKind<Role>({
  ...common,
  kind: 'Role',
  schema: roleSchema,
  columns: [{ name: 'Created At', type: 'date', jsonPath: '.metadata.creationTimestamp' }],
  validate: ({ rules }) => validateRules(rules, true),
});

export const ClusterRoleKind = defineKind<ClusterRole>({
  ...common,
  kind: 'ClusterRole',
  isNamespaced: false,
  schema: clusterRoleSchema,
  columns: [{ name: 'Created At', type: 'date', jsonPath: '.metadata.creationTimestamp' }, ageColumn],
  validate({ aggregationRule, rules }) {
    const errors = validateRules(rules, false);
    if (aggregationRule && !aggregationRule.clusterRoleSelectors?.length) {
      const remedy = 'at least one clusterRoleSelector required if aggregationRule is non-nil';
      errors.push(fieldRequired('aggregationRule.clusterRoleSelectors', remedy));
    }
    return errors;
  },
});

function validateRules(rules: readonly PolicyRule[] | undefined | null, isNamespaced: boolean): FieldError[] {
  return (rules ?? []).flatMap(({ apiGroups, nonResourceURLs, resourceNames, resources, verbs }, i) => {
    const at = `rules[${i}]`;
    const errors = verbs.length > 0 ? [] : [fieldRequired(`${at}.verbs`, 'verbs must contain at least one value')];
    if (nonResourceURLs?.length) {
      const wrong = (remedy: string) => errors.push(fieldInvalid(`${at}.nonResourceURLs`, nonResourceURLs, remedy));
      if (isNamespaced) wrong('namespaced rules cannot apply to non-resource URLs');
      if (apiGroups?.length || resources?.length || resourceNames?.length) {
        wrong('rules cannot apply to both regular resources and non-resource URLs');
      }
      return errors;
    }
    if (!apiGroups?.length) {
      errors.push(fieldRequired(`${at}.apiGroups`, 'resource rules must supply at least one api group'));
    }
    if (!resources?.length) {
      errors.push(fieldRequired(`${at}.resources`, 'resource rules must supply at least one resource'));
    }
    return errors;
  });
}
