import { type FieldError, fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../field-error.ts';
import { defineKind, type KindContext, type PrinterColumn } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { dnsSubdomainRule, isDnsSubdomain, isPathName, pathNameRule } from '../names.ts';
import { atomicList, object, string, type ValueOf } from '../schema.ts';
import { rbacGroup } from './roles.ts';

const subjectSchema = object(
  { kind: string(), apiGroup: string(), name: string(), namespace: string() },
  { required: ['kind', 'name'] },
);

/** Who gets a role: a User, a Group, or a ServiceAccount of a namespace. */
export interface Subject extends ValueOf<typeof subjectSchema> {}

const bindingSchema = object(
  {
    subjects: atomicList(subjectSchema, { nullable: true }),
    roleRef: object({ apiGroup: string(), kind: string(), name: string() }, { required: ['kind', 'name'] }),
  },
  { required: ['roleRef'] },
);

/** Gives a role: in its namespace, or (ClusterRoleBinding) everywhere. */
export interface RoleBinding extends KubeObject, ValueOf<typeof bindingSchema> {}

const columns: PrinterColumn[] = [
  { name: 'Role', type: 'string', jsonPath: '.roleRef.name' },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
];

const bindingKind = (kind: string, isNamespaced: boolean) =>
  defineKind<RoleBinding>({
    group: rbacGroup,
    version: 'v1',
    kind,
    isNamespaced,
    hasStatus: false,
    isPathNamed: true,
    schema: bindingSchema,
    columns,
    setDefaults({ roleRef, subjects }) {
      roleRef.apiGroup ||= rbacGroup;
      for (const subject of subjects ?? []) {
        if (subject.kind === 'User' || subject.kind === 'Group') subject.apiGroup ||= rbacGroup;
      }
    },
    validate: (binding, { old }) => validateBinding(binding, isNamespaced, old),
  });

export const RoleBindingKind = bindingKind('RoleBinding', true);
export const ClusterRoleBindingKind = bindingKind('ClusterRoleBinding', false);

function validateBinding(
  { roleRef, subjects }: RoleBinding,
  isNamespaced: boolean,
  old: KindContext<RoleBinding>['old'],
): FieldError[] {
  const errors: FieldError[] = [];
  const kinds = isNamespaced ? ['Role', 'ClusterRole'] : ['ClusterRole'];
  if (roleRef.apiGroup !== rbacGroup) {
    errors.push(fieldNotSupported('roleRef.apiGroup', roleRef.apiGroup, [rbacGroup]));
  }
  if (!kinds.includes(roleRef.kind)) errors.push(fieldNotSupported('roleRef.kind', roleRef.kind, kinds));
  if (!roleRef.name) errors.push(fieldRequired('roleRef.name'));
  else if (!isPathName(roleRef.name)) errors.push(fieldInvalid('roleRef.name', roleRef.name, pathNameRule));
  subjects?.forEach((subject, i) => {
    errors.push(...validateSubject(subject, isNamespaced, `subjects[${i}]`));
  });
  const before = old?.roleRef;
  if (before && (before.kind !== roleRef.kind || before.name !== roleRef.name)) {
    errors.push(fieldInvalid('roleRef', roleRef, 'cannot change roleRef'));
  }
  return errors;
}

function validateSubject({ apiGroup, kind, name, namespace }: Subject, isNamespaced: boolean, at: string) {
  const errors: FieldError[] = name ? [] : [fieldRequired(`${at}.name`)];
  if (kind === 'ServiceAccount') {
    if (name && !isDnsSubdomain(name)) errors.push(fieldInvalid(`${at}.name`, name, dnsSubdomainRule));
    if (apiGroup) errors.push(fieldNotSupported(`${at}.apiGroup`, apiGroup, ['']));
    if (!isNamespaced && !namespace) errors.push(fieldRequired(`${at}.namespace`));
  } else if (kind === 'User' || kind === 'Group') {
    if (apiGroup !== rbacGroup) errors.push(fieldNotSupported(`${at}.apiGroup`, apiGroup, [rbacGroup]));
    if (namespace) errors.push(fieldForbidden(`${at}.namespace`, `${kind} subjects have no namespace`));
  } else errors.push(fieldNotSupported(`${at}.kind`, kind, ['ServiceAccount', 'User', 'Group']));
  return errors;
}
