/** One thing wrong with one field; the reasons are those of Kubernetes' field.Error. */
export interface FieldError {
  /** For example `spec.traffic[1].percent`. */
  field: string;
  reason:
    | 'FieldValueRequired'
    | 'FieldValueInvalid'
    | 'FieldValueNotSupported'
    | 'FieldValueForbidden'
    | 'FieldValueDuplicate'
    | 'FieldValueTypeInvalid';
  /** What is wrong, with the value and the remedy; without the field, which is put before it. */
  message: string;
}

export const fieldRequired = (field: string, remedy = 'required'): FieldError => ({
  field,
  reason: 'FieldValueRequired',
  message: `Required value: ${remedy}`,
});

export const fieldInvalid = (field: string, value: unknown, remedy: string): FieldError => ({
  field,
  reason: 'FieldValueInvalid',
  message: `Invalid value: ${JSON.stringify(value)}: ${remedy}`,
});

export const fieldDuplicate = (field: string, value: unknown, remedy?: string): FieldError => ({
  field,
  reason: 'FieldValueDuplicate',
  message: `Duplicate value: ${JSON.stringify(value)}${remedy === undefined ? '' : `: ${remedy}`}`,
});

export const fieldForbidden = (field: string, remedy: string): FieldError => ({
  field,
  reason: 'FieldValueForbidden',
  message: `Forbidden: ${remedy}`,
});

export function fieldNotSupported(field: string, value: unknown, supported: readonly string[]): FieldError {
  const listed = supported.map((s) => `"${s}"`).join(', ');
  const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${listed}`;
  return { field, reason: 'FieldValueNotSupported', message };
}
