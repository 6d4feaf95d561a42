/** Discovery and OpenAPI: what is served, described for clients, with ETags and hashes so that they can keep it. */
import { createHash } from 'node:crypto';
import { apiVersionOf } from '../../../../api/kind.ts';
import { ApiError } from '../../../../api/status.ts';
import { issuer, type ServiceAccountTokens } from '../../identity/service-account-tokens.ts';
import type { Resources } from '../../resources.ts';
import { aggregated, coreVersions, groupDocument, groupList, resourceList } from '../documents/discovery.ts';
import { openApiDocument } from '../documents/openapi.ts';
import { versionInfo } from '../documents/version.ts';
import type { Exchange } from '../exchange.ts';
import { parseMediaType } from '../media-type.ts';
import { groupVersionPath } from '../paths.ts';
import { sendText } from '../respond.ts';

const keySetPath = '/openid/v1/jwks';

/** As the client calls the server. */
const hostOf = ({ request: { headers } }: Exchange): string => `${headers.host ?? headers[':authority'] ?? ''}`;

/** Serves the documents; what they are made of is kept until the served resources change. */
export class Documents {
  readonly #resources: Resources;
  readonly #tokens: ServiceAccountTokens | undefined;
  readonly #stopListening: () => void;
  /** Group-version to the hash of its OpenAPI document; the documents themselves are large and rarely read. */
  #hashes: Map<string, string> | undefined;

  constructor(resources: Resources, tokens?: ServiceAccountTokens) {
    this.#resources = resources;
    this.#tokens = tokens;
    this.#stopListening = resources.onChange(() => {
      this.#hashes = undefined;
    });
  }

  stop(): void {
    this.#stopListening();
  }

  /** Answers if `path` is one of the documents; false when it is something else. */
  async serve(exchange: Exchange): Promise<boolean> {
    const path = exchange.path.replace(/\/+$/, '');
    const isReading = exchange.method === 'GET' || exchange.method === 'HEAD';
    const [root, first, second, ...more] = path.slice(1).split('/');
    if (root === 'version' && first === undefined) return isReading && this.#send(exchange, versionInfo);
    if (this.#tokens && path === '/.well-known/openid-configuration') return isReading && this.#issuer(exchange);
    if (this.#tokens && path === keySetPath) {
      return isReading && this.#send(exchange, this.#tokens.keySet(), 'application/jwk-set+json');
    }
    if (root === 'openapi') return isReading && this.#openApi(exchange, path);
    const resources = this.#resources.all();
    if (root === 'api' && second === undefined) {
      if (first === undefined) return isReading && this.#root(exchange, true);
      return isReading && this.#send(exchange, resourceList(resources, '', first));
    }
    if (root === 'apis' && more.length === 0) {
      if (first === undefined) return isReading && this.#root(exchange, false);
      if (second === undefined) return isReading && this.#send(exchange, groupDocument(resources, first));
      return isReading && this.#send(exchange, resourceList(resources, first, second));
    }
    return false;
  }

  /** `/api` and `/apis`: everything in one document for those who ask so, else the plain list. */
  async #root(exchange: Exchange, isCore: boolean): Promise<boolean> {
    const resources = this.#resources.all();
    const version = aggregatedVersion(exchange.request.headers.accept);
    if (version !== undefined) {
      const type = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
      return this.#send(exchange, aggregated(resources, version, isCore), type);
    }
    return this.#send(exchange, isCore ? coreVersions(resources, hostOf(exchange)) : groupList(resources));
  }

  /** By which others verify the tokens of ServiceAccounts (OpenID Connect Discovery 1.0). */
  #issuer(exchange: Exchange): Promise<boolean> {
    return this.#send(exchange, {
      issuer,
      jwks_uri: `https://${hostOf(exchange)}${keySetPath}`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
    });
  }

  async #send(exchange: Exchange, document: object | undefined, type = 'application/json'): Promise<boolean> {
    if (!document) throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
    const text = `${JSON.stringify(document)}\n`;
    const etag = `"${hashOf(text)}"`;
    const headers = { 'content-type': type, etag, vary: 'Accept', 'cache-control': 'public' };
    if (exchange.request.headers['if-none-match'] === etag) {
      exchange.response.writeHead(304, headers).end();
      return true;
    }
    await sendText(exchange, text, { headers });
    return true;
  }

  async #openApi(exchange: Exchange, path: string): Promise<boolean> {
    if (path === '/openapi/v3') {
      const paths: Record<string, object> = {};
      for (const [apiVersion, hash] of this.#openApiHashes()) {
        const name = documentPath(apiVersion);
        paths[name] = { serverRelativeURL: `/openapi/v3/${name}?hash=${hash}` };
      }
      return this.#send(exchange, { paths });
    }
    if (path === '/openapi/v2') return sendV2(exchange);
    if (!path.startsWith('/openapi/v3/')) return false;
    const name = path.slice('/openapi/v3/'.length);
    const found = [...this.#openApiHashes()].find(([apiVersion]) => documentPath(apiVersion) === name);
    if (!found) throw new ApiError(404, 'NotFound', `there is no OpenAPI document ${name}`);
    return this.#document(exchange, found[0], found[1]);
  }

  async #document(exchange: Exchange, apiVersion: string, hash: string): Promise<boolean> {
    const asked = exchange.query.get('hash');
    if (asked !== null && asked !== hash) {
      const location = `/openapi/v3/${documentPath(apiVersion)}?hash=${hash}`;
      exchange.response.writeHead(301, { location, 'content-length': 0 }).end();
      return true;
    }
    // With its hash in the address a document never changes: kubectl keeps it on disk.
    const nextYear = new Date(exchange.clock.now() + 365 * 24 * 3600 * 1000).toUTCString();
    const cached = { 'cache-control': 'public, immutable', expires: nextYear };
    await sendText(exchange, this.#documentText(apiVersion), {
      headers: {
        'content-type': 'application/json',
        etag: `"${hash}"`,
        vary: 'Accept',
        ...(asked === null ? {} : cached),
      },
    });
    return true;
  }

  #documentText(apiVersion: string): string {
    const own = this.#resources.all().filter(({ kind }) => apiVersionOf(kind) === apiVersion);
    return JSON.stringify(openApiDocument(own));
  }

  #openApiHashes(): Map<string, string> {
    if (!this.#hashes) {
      const versions = new Set(this.#resources.all().map(({ kind }) => apiVersionOf(kind)));
      this.#hashes = new Map([...versions].map((version) => [version, hashOf(this.#documentText(version))]));
    }
    return this.#hashes;
  }
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32).toUpperCase();

function documentPath(apiVersion: string): string {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  return groupVersionPath(group ?? '', version ?? '').slice(1);
}

/** Which version of the aggregated form the client prefers, if it asks for one before the plain form. */
function aggregatedVersion(accept: string | undefined): string | undefined {
  for (const { parameters, type } of (accept ?? '').split(',').map(parseMediaType)) {
    if (type !== 'application/json' && type !== '*/*') continue;
    const { as, g, v } = parameters;
    if (as === undefined) return undefined;
    const isAggregated = as === 'APIGroupDiscoveryList' && g === 'apidiscovery.k8s.io';
    if (isAggregated && (v === 'v2' || v === 'v2beta1')) return v;
  }
  return undefined;
}

const v2Protobuf = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/**
 * OpenAPI v2, which kubectl asks for when it does not like v3, and for custom resources. An empty document is a valid
 * one: it says that there is nothing to check on the client's side.
 */
async function sendV2(exchange: Exchange): Promise<boolean> {
  const wantsProtobuf = /proto-openapi/.test(exchange.request.headers.accept ?? '');
  if (wantsProtobuf) await sendText(exchange, Buffer.alloc(0), { headers: { 'content-type': v2Protobuf } });
  else {
    const document = {
      swagger: '2.0',
      info: { title: 'Kubernetes', version: versionInfo.gitVersion },
      paths: {},
      definitions: {},
    };
    await sendText(exchange, JSON.stringify(document), { headers: { 'content-type': 'application/json' } });
  }
  return true;
}
