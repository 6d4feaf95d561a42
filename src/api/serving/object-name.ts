import { type FieldError, fieldInvalid } from '../field-error.ts';
import type { KubeObject } from '../meta.ts';
import { dnsLabel1035Rule, isDnsLabel1035 } from '../names.ts';

/** Services, Configurations and Routes give their names to core Services and hosts, which must be DNS 1035 labels. */
export function validateObjectName({ metadata: { name } }: KubeObject): FieldError[] {
  if (!name || isDnsLabel1035(name)) return [];
  return [fieldInvalid('metadata.name', name, `not a DNS 1035 label: ${dnsLabel1035Rule}`)];
}
