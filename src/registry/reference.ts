import { parseDigest } from './digest.ts';

/** A name in a registry: `registry.example:5000/team/app:v1@sha256:…`. */
export interface Reference {
  /** With the port, when one was given. */
  host: string;
  /** The repository, without the host. */
  name: string;
  tag?: string;
  digest?: string;
}

/** The host that stands for the embedded registry, wherever it listens. */
export const embeddedRegistryHost = 'registry.localhost';

/** OCI distribution specification 1.1, "Pulling manifests". */
const namePattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const hostPattern = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?$/;

export const isRepositoryName = (text: string): boolean => text.length <= 255 && namePattern.test(text);
/** As the first part of an image's name, with a port where it has one. */
export const isRegistryHost = (text: string): boolean => /[.:]|^localhost$/.test(text) && hostPattern.test(text);
export const isTag = (text: string): boolean => tagPattern.test(text);

/**
 * Reads an image reference. As with Docker, a first part without a dot, a colon and other than `localhost` is no host:
 * it is a name on docker.io (`nginx` is `docker.io/library/nginx`). Throws an Error that says what is wrong.
 */
export function parseReference(text: string): Reference {
  const [beforeDigest = '', digest, extra] = text.split('@');
  if (extra !== undefined || (digest !== undefined && !parseDigest(digest))) {
    throw new Error(`"${text}" is not an image reference: what follows @ must be sha256: and 64 hex digits`);
  }
  const { host, rest } = splitHost(beforeDigest);
  if (!hostPattern.test(host)) throw new Error(`"${text}" is not an image reference: bad registry host "${host}"`);
  const colon = rest.indexOf(':');
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  if (tag !== undefined && !isTag(tag)) throw new Error(`"${text}" is not an image reference: bad tag "${tag}"`);
  const name = colon < 0 ? rest : rest.slice(0, colon);
  if (!isRepositoryName(name)) {
    throw new Error(`"${text}" is not an image reference: the name "${name}" must be lower case, as in team/app`);
  }
  return { host, name, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
}

/** The canonical text of `reference`; reading it gives an equal reference. */
export function formatReference({ host, name, tag, digest }: Reference): string {
  return `${host}/${name}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

function splitHost(text: string): { host: string; rest: string } {
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  if (first === 'localhost' || /[.:]/.test(first)) {
    const isDocker = first === 'docker.io' || first === 'index.docker.io';
    return isDocker ? dockerHub(text.slice(slash + 1)) : { host: first, rest: text.slice(slash + 1) };
  }
  return dockerHub(text);
}

function dockerHub(rest: string): { host: string; rest: string } {
  return { host: 'docker.io', rest: rest.includes('/') ? rest : `library/${rest}` };
}
