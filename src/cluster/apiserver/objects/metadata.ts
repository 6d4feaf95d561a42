import { randomInt } from 'node:crypto';
import { type FieldError, fieldForbidden, fieldInvalid, fieldRequired } from '../../../api/field-error.ts';
import type { KubeObject, ObjectMeta } from '../../../api/meta.ts';
import {
  dnsSubdomainRule,
  generatedAlphabet,
  isDnsSubdomain,
  isLabelValue,
  isPathName,
  isQualifiedName,
  pathNameRule,
} from '../../../api/names.ts';

const annotationsSizeMaxBytes = 256 * 1024;

/** generateName is cut so that five random characters fit into a label of 63. */
const generatedBaseMax = 58;

const labelKeyRule =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric " +
  "character (e.g. 'MyName',  or 'my.name',  or '123-abc'), with an optional DNS subdomain prefix and '/'";
const labelValueRule =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and " +
  "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345'), at most 63 characters";

export function generatedName(base: string): string {
  let name = base.slice(0, generatedBaseMax);
  for (let i = 0; i < 5; i++) name += generatedAlphabet[randomInt(generatedAlphabet.length)];
  return name;
}

/** What is wrong with the metadata of any object; `old` is the stored one on update. */
export function validateMetadata(object: KubeObject, old: KubeObject | undefined, isPathNamed = false): FieldError[] {
  const { metadata } = object;
  return [
    ...validateName(metadata, isPathNamed),
    ...validateLabels(metadata.labels ?? {}),
    ...validateAnnotations(metadata.annotations ?? {}),
    ...validateOwners(metadata),
    ...validateFinalizers(metadata, old?.metadata),
  ];
}

function validateName({ name, generateName }: ObjectMeta, isPathNamed: boolean): FieldError[] {
  if (!name) {
    return generateName ? [] : [fieldRequired('metadata.name', 'name or generateName is required')];
  }
  if (isPathNamed) return isPathName(name) ? [] : [fieldInvalid('metadata.name', name, pathNameRule)];
  return isDnsSubdomain(name) ? [] : [fieldInvalid('metadata.name', name, dnsSubdomainRule)];
}

function validateLabels(labels: Record<string, string>): FieldError[] {
  const errors: FieldError[] = [];
  for (const [key, value] of Object.entries(labels)) {
    if (!isQualifiedName(key)) errors.push(fieldInvalid('metadata.labels', key, labelKeyRule));
    if (!isLabelValue(value)) errors.push(fieldInvalid('metadata.labels', value, labelValueRule));
  }
  return errors;
}

function validateAnnotations(annotations: Record<string, string>): FieldError[] {
  const errors: FieldError[] = [];
  let sizeBytes = 0;
  for (const [key, value] of Object.entries(annotations)) {
    sizeBytes += Buffer.byteLength(key) + Buffer.byteLength(value);
    if (!isQualifiedName(key.toLowerCase())) errors.push(fieldInvalid('metadata.annotations', key, labelKeyRule));
  }
  if (sizeBytes > annotationsSizeMaxBytes) {
    const message = `Too long: may not be more than ${annotationsSizeMaxBytes} bytes`;
    errors.push({ field: 'metadata.annotations', reason: 'FieldValueInvalid', message });
  }
  return errors;
}

function validateOwners({ ownerReferences = [] }: ObjectMeta): FieldError[] {
  const errors: FieldError[] = [];
  ownerReferences.forEach((owner, i) => {
    for (const field of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      if (!owner[field]) {
        errors.push(fieldInvalid(`metadata.ownerReferences[${i}].${field}`, owner[field] ?? '', 'must not be empty'));
      }
    }
  });
  if (ownerReferences.filter((owner) => owner.controller).length > 1) {
    const remedy = 'Only one reference can have Controller set to true';
    errors.push(fieldInvalid('metadata.ownerReferences', ownerReferences, remedy));
  }
  return errors;
}

function validateFinalizers(metadata: ObjectMeta, old: ObjectMeta | undefined): FieldError[] {
  const { finalizers = [] } = metadata;
  const errors = finalizers
    .filter((finalizer) => !isQualifiedName(finalizer))
    .map((finalizer) => fieldInvalid('metadata.finalizers', finalizer, labelKeyRule));
  if (old?.deletionTimestamp !== undefined) {
    const added = finalizers.filter((finalizer) => !old.finalizers?.includes(finalizer));
    if (added.length > 0) {
      const why = 'no new finalizers can be added if the object is being deleted';
      errors.push(fieldForbidden('metadata.finalizers', `${why}, found new finalizers ${JSON.stringify(added)}`));
    }
  }
  return errors;
}

/** The metadata that only the server writes. */
const serverFields = [
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'generateName',
  'managedFields',
] as const;

/** Puts back what of `next`'s metadata is not for clients to change. */
export function keepIdentity(next: KubeObject, current: KubeObject): void {
  const to = next.metadata as unknown as Record<string, unknown>;
  delete to.selfLink;
  for (const key of serverFields) {
    const value = current.metadata[key];
    if (value === undefined) delete to[key];
    else to[key] = value;
  }
}
