import { ApiError, badRequest } from '../../../../api/status.ts';
import { parseYaml, YamlError } from '../../../../lib/yaml.ts';
import { parseMediaType } from '../media-type.ts';
import { JsonError, parseJson } from './json.ts';
import { decodeProtobuf, protobufType } from './protobuf.ts';

export interface Decoded {
  value: unknown;
  /** What is wrong but can be lived with, as Kubernetes words it: `duplicate field "spec.replicas"`. */
  errors: string[];
}

/** Reads an object from a request's body. Throws ApiError 400 with the place of a syntax error, 415 for other types. */
export function decodeObject(body: Buffer, contentType: string | undefined): Decoded {
  const { type } = parseMediaType(contentType ?? 'application/json');
  if (type === 'application/json' || type === '') return decodeJson(body);
  if (type === 'application/yaml') return decodeYaml(body);
  if (type === protobufType) return { value: decodeProtobuf(body), errors: [] };
  throw unsupportedMediaType(type, ['application/json', 'application/yaml', protobufType]);
}

export function decodeJson(body: Buffer): Decoded {
  try {
    const { value, duplicates } = parseJson(utf8(body));
    return { value, errors: duplicates.map((path) => `duplicate field "${path}"`) };
  } catch (error) {
    if (error instanceof JsonError) throw badRequest(`the body of the request is not valid JSON: ${error.message}`);
    throw error;
  }
}

/** YAML and, as it is a part of it, JSON. */
export function decodeYaml(body: Buffer): Decoded {
  const text = utf8(body);
  if (/^\s*\{/.test(text)) return decodeJson(body);
  try {
    const [document, ...more] = parseYaml(text, 'body');
    if (more.length > 0) throw badRequest('the body holds several YAML documents: send one object a request');
    return { value: document?.value, errors: [] };
  } catch (error) {
    if (error instanceof YamlError) throw badRequest(`the body of the request is not valid YAML: ${error.message}`);
    throw error;
  }
}

export const unsupportedMediaType = (type: string, supported: readonly string[]): ApiError =>
  new ApiError(
    415,
    'UnsupportedMediaType',
    'the body of the request was in an unknown format - accepted media types include: ' +
      `${supported.join(', ')} (it is ${type})`,
  );

const decoder = new TextDecoder('utf-8', { fatal: true });

function utf8(body: Buffer): string {
  try {
    return decoder.decode(body);
  } catch {
    throw badRequest('the body of the request is not valid UTF-8');
  }
}
