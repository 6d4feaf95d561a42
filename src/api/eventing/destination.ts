import { type FieldError, fieldForbidden, fieldInvalid, fieldRequired } from '../field-error.ts';
import { array, object, string, type ValueOf } from '../schema.ts';

export const referenceSchema = object(
  {
    apiVersion: string({ description: 'API version of the referent.' }),
    kind: string({ description: 'Kind of the referent.' }),
    name: string({ description: 'Name of the referent.' }),
    namespace: string({ description: "Namespace of the referent; the object's own when left out." }),
  },
  { present: ['apiVersion', 'kind', 'name'] },
);

export interface KReference extends ValueOf<typeof referenceSchema> {}

export const destinationSchema = object({
  ref: { ...referenceSchema, description: 'Points to an addressable object.' },
  uri: string({ description: 'An absolute http(s) URL, or one relative to the address of `ref`.' }),
  CACerts: string({ description: 'PEM of the certification authorities to trust for an https URI.' }),
  audience: string({ description: 'The OIDC audience of the destination.' }),
});

/** Where events go: an addressable object, a URI, or a URI relative to the object (Knative's duck type Destination). */
export interface Destination extends ValueOf<typeof destinationSchema> {}

/** What an addressable object says in `status.address`. */
const addressSchema = object({ name: string(), url: string(), CACerts: string(), audience: string() });

/** The part of a status that makes an object addressable. */
export const addressableFields = { address: addressSchema, addresses: array(addressSchema) };
const addressableSchema = object(addressableFields);

export interface Addressable extends ValueOf<typeof addressableSchema> {}

/** Fills the reference's namespace with that of the object that holds it. */
export function defaultDestination(destination: Destination | undefined, namespace: string | undefined): void {
  if (destination?.ref && namespace !== undefined) destination.ref.namespace ??= namespace;
}

/** What is wrong with `destination`, which stands in `field`. */
export function validateDestination(field: string, destination: Destination | undefined): FieldError[] {
  if (!destination || (!destination.ref && destination.uri === undefined)) {
    return [fieldRequired(field, `give ${field}.ref (an addressable object) or ${field}.uri (an http URL)`)];
  }
  return destination.ref
    ? validateReferenced(field, destination.ref, destination.uri)
    : validateAbsolute(`${field}.uri`, destination.uri ?? '');
}

/** The URL of `text` when it is an absolute http(s) one. */
export function httpUrl(text: string): URL | undefined {
  const url = URL.parse(text);
  return url && (url.protocol === 'http:' || url.protocol === 'https:') && url.host !== '' ? url : undefined;
}

function validateReference(field: string, reference: KReference): FieldError[] {
  const errors: FieldError[] = [];
  for (const part of ['apiVersion', 'kind', 'name'] as const) {
    if (!reference[part]) errors.push(fieldRequired(`${field}.${part}`, `name the ${part} of the object`));
  }
  return errors;
}

function validateReferenced(field: string, reference: KReference, uri: string | undefined): FieldError[] {
  const errors = validateReference(`${field}.ref`, reference);
  if (uri !== undefined && URL.canParse(uri)) {
    errors.push(
      fieldForbidden(`${field}.uri`, `${JSON.stringify(uri)} is absolute: with ref it must be relative, as "/path"`),
    );
  }
  return errors;
}

function validateAbsolute(field: string, uri: string): FieldError[] {
  if (httpUrl(uri)) return [];
  return [fieldInvalid(field, uri, 'must be an absolute http or https URL, for example "http://host:8080/path"')];
}
