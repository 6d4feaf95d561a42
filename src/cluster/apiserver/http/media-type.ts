import { protobufType } from './body/protobuf.ts';

/** One entry of an Accept header, or a Content-Type. */
export interface MediaType {
  /** Lower case, for example `application/json`. */
  type: string;
  parameters: Record<string, string>;
}

export function parseMediaType(text: string): MediaType {
  const [type = '', ...rest] = text.split(';');
  const parameters: Record<string, string> = {};
  for (const part of rest) {
    const [name = '', value = ''] = part.split('=');
    parameters[name.trim().toLowerCase()] = value.trim().replace(/^"(.*)"$/, '$1');
  }
  return { type: type.trim().toLowerCase(), parameters };
}

/** The form in which a client wants objects: as they are, as a table for people, or their metadata only. */
export type Shape = 'object' | 'Table' | 'PartialObjectMetadata';

export interface Accepted {
  encoding: 'json' | 'yaml';
  shape: Shape;
  /** The version of meta.k8s.io in which a Table or PartialObjectMetadata is wanted. */
  version: string;
}

const jsonTypes = new Set(['application/json', '*/*', 'application/*', protobufType]);
const shapes = new Map<string, Shape>([
  ['Table', 'Table'],
  ['PartialObjectMetadata', 'PartialObjectMetadata'],
  ['PartialObjectMetadataList', 'PartialObjectMetadata'],
]);

/**
 * Chooses what to answer with: the first entry of the Accept header that can be served; undefined (406) when none can.
 * A client that asks for protobuf gets JSON, which the Content-Type says and all known clients read.
 */
export function negotiate(accept: string | undefined): Accepted | undefined {
  const wanted = (accept === undefined || accept.trim() === '' ? '*/*' : accept).split(',').map(parseMediaType);
  // What is asked for in a readable form is preferred to protobuf, which is answered with JSON.
  const ordered = [...wanted.filter((m) => !isProtobuf(m)), ...wanted.filter(isProtobuf)];
  for (const { parameters, type } of ordered) {
    const encoding = jsonTypes.has(type) ? 'json' : type === 'application/yaml' ? 'yaml' : undefined;
    if (!encoding) continue;
    const { as, g, v = 'v1' } = parameters;
    if (as === undefined) return { encoding, shape: 'object', version: 'v1' };
    const shape = shapes.get(as);
    if (shape && g === 'meta.k8s.io' && (v === 'v1' || v === 'v1beta1')) return { encoding, shape, version: v };
  }
  return undefined;
}

const isProtobuf = (mediaType: MediaType): boolean => mediaType.type === protobufType;
