import { setPodSpecDefaults } from '../core/pod-defaults.ts';
import type { PodTemplateSpec } from '../core/pod-spec.ts';
import { validatePodSpec } from '../core/pod-validation.ts';
import { type FieldError, fieldInvalid, fieldNotSupported, fieldRequired } from '../field-error.ts';
import type { LabelSelector } from '../meta.ts';
import { isLabelValue, isQualifiedName } from '../names.ts';
import { selects } from '../selector.ts';

const operators = ['In', 'NotIn', 'Exists', 'DoesNotExist'];

/** A selector that is there, selects something definite, and is well formed. */
export function validateSelector(selector: LabelSelector | undefined, at: string): FieldError[] {
  if (!selector) return [fieldRequired(at)];
  const errors: FieldError[] = [];
  if (!Object.keys(selector.matchLabels ?? {}).length && !selector.matchExpressions?.length) {
    errors.push(fieldInvalid(at, selector, 'empty selector is invalid for this kind'));
  }
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    if (!isQualifiedName(key)) errors.push(fieldInvalid(`${at}.matchLabels`, key, 'must be a label key'));
    if (!isLabelValue(value)) errors.push(fieldInvalid(`${at}.matchLabels`, value, 'must be a label value'));
  }
  selector.matchExpressions?.forEach(({ key, operator, values }, i) => {
    const path = `${at}.matchExpressions[${i}]`;
    if (!isQualifiedName(key)) errors.push(fieldInvalid(`${path}.key`, key, 'must be a label key'));
    if (!operators.includes(operator)) errors.push(fieldNotSupported(`${path}.operator`, operator, operators));
    const wantsValues = operator === 'In' || operator === 'NotIn';
    if (wantsValues && !values?.length) {
      errors.push(fieldRequired(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
    }
    if (!wantsValues && values?.length) {
      errors.push(
        fieldInvalid(`${path}.values`, values, "must be empty when `operator` is 'Exists' or 'DoesNotExist'"),
      );
    }
  });
  return errors;
}

/** A template whose pods are valid, restart always, and are selected by `selector`. */
export function validateTemplate(
  template: PodTemplateSpec | undefined,
  selector: LabelSelector | undefined,
  at: string,
): FieldError[] {
  if (!template?.spec) return [fieldRequired(`${at}.spec`)];
  const errors = validatePodSpec(template.spec, `${at}.spec`);
  const labels = template.metadata?.labels ?? {};
  for (const [key, value] of Object.entries(labels)) {
    if (!isQualifiedName(key)) errors.push(fieldInvalid(`${at}.metadata.labels`, key, 'must be a label key'));
    if (!isLabelValue(value)) errors.push(fieldInvalid(`${at}.metadata.labels`, value, 'must be a label value'));
  }
  if (selector && !selects(selector, labels)) {
    errors.push(fieldInvalid(`${at}.metadata.labels`, labels, '`selector` does not match template `labels`'));
  }
  const { restartPolicy } = template.spec;
  if (restartPolicy && restartPolicy !== 'Always') {
    errors.push(fieldNotSupported(`${at}.spec.restartPolicy`, restartPolicy, ['Always']));
  }
  return errors;
}

/** Fills in the defaults of the template's pods; changes `template`. */
export function setTemplateDefaults(template: PodTemplateSpec | undefined): void {
  if (template?.spec) setPodSpecDefaults(template.spec);
}
