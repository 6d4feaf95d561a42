import {
  type TokenRequest,
  TokenRequestKind,
  tokenSecondsDefault,
  validateTokenSeconds,
} from '../../../api/authentication/token-request.ts';
import { NodeKind } from '../../../api/core/node.ts';
import { type Pod, PodKind } from '../../../api/core/pod.ts';
import { SecretKind } from '../../../api/core/secret.ts';
import { fieldInvalid } from '../../../api/field-error.ts';
import type { Kind } from '../../../api/kind.ts';
import { type KubeObject, timestamp } from '../../../api/meta.ts';
import { ApiError, badRequest, conflict, invalid, isNotFound } from '../../../api/status.ts';
import type { Clock } from '../../../lib/clock.ts';
import { type Bound, issuer, type ServiceAccountTokens } from '../identity/service-account-tokens.ts';
import type { NamedRequest } from '../request-info.ts';
import type { Pipeline } from '../resources.ts';
import { typed } from '../schema/typed.ts';
import type { Action } from '../strategy.ts';

/** POST on a ServiceAccount's `token`: one that is good for a while, for whom and bound to what the request says. */
export const tokenRequests = (tokens: ServiceAccountTokens | undefined, clock: Clock): Action => ({
  type: 'action',
  verbs: ['create'],
  kind: TokenRequestKind,
  async run(body, request, pipeline) {
    if (!tokens) throw new ApiError(501, 'NotImplemented', 'this API server issues no tokens');
    const asked = typed(body, TokenRequestKind) as TokenRequest;
    const account = (await pipeline.get(aboutItself(request))).object;
    const { audiences, boundObjectRef, expirationSeconds = tokenSecondsDefault } = asked.spec ?? {};
    requireSame(asked, account, request);
    const errors = validateTokenSeconds(expirationSeconds, 'spec.expirationSeconds');
    if (errors.length > 0) throw invalid(TokenRequestKind, '', errors);
    const grant = {
      account,
      audiences: audiences?.length ? audiences : [issuer],
      seconds: expirationSeconds,
      ...(await boundTo(boundObjectRef, request, pipeline)),
    };
    const now = clock.now();
    const { namespace, name, uid } = account.metadata;
    const answer = {
      kind: TokenRequestKind.kind,
      apiVersion: `${TokenRequestKind.group}/${TokenRequestKind.version}`,
      metadata: { name, namespace, uid, creationTimestamp: timestamp(now) },
      spec: { audiences: grant.audiences, expirationSeconds, boundObjectRef: boundObjectRef ?? null },
      status: { token: tokens.issue(grant), expirationTimestamp: timestamp(now + expirationSeconds * 1000) },
    };
    return answer as unknown as KubeObject;
  },
});

const aboutItself = ({ subresource: _, ...request }: NamedRequest): NamedRequest => ({ ...request, verb: 'get' });

/** What the body says of itself is what the address says. */
function requireSame({ metadata }: TokenRequest, { metadata: own }: KubeObject, request: NamedRequest): void {
  for (const field of ['name', 'namespace'] as const) {
    const given = metadata?.[field];
    if (!given || given === own[field]) continue;
    const remedy = `must match the service account ${field} if specified`;
    throw invalid(TokenRequestKind, request.name, [fieldInvalid(`metadata.${field}`, given, remedy)]);
  }
  if (!metadata?.uid || metadata.uid === own.uid) return;
  const given = `the UID in the token request (${metadata.uid})`;
  const why = `${given} does not match the UID of the service account (${own.uid})`;
  throw conflict(TokenRequestKind, request.name, why);
}

type BoundReference = NonNullable<TokenRequest['spec']>['boundObjectRef'];

const boundKinds: Readonly<Record<string, Kind>> = {
  Pod: PodKind as unknown as Kind,
  Secret: SecretKind as unknown as Kind,
  Node: NodeKind as unknown as Kind,
};

async function boundTo(reference: BoundReference, request: NamedRequest, pipeline: Pipeline): Promise<Bound> {
  if (!reference) return {};
  const { apiVersion = '', kind: kindName = '', name = '', uid } = reference;
  const kind = apiVersion === 'v1' ? boundKinds[kindName] : undefined;
  if (!kind) throw badRequest(`cannot bind token to object of type ${apiVersion}, Kind=${kindName}`);
  const find = async (of: Kind, objectName: string): Promise<KubeObject> => {
    const resource = pipeline.resources.find(of.group, of.version, of.plural);
    if (!resource) throw badRequest(`cannot bind token to object of type ${apiVersion}, Kind=${kindName}`);
    const { user, namespace } = request;
    const where = of.isNamespaced ? { namespace } : {};
    return (await pipeline.get({ user, verb: 'get', resource, name: objectName, ...where })).object;
  };
  const object = await find(kind, name);
  if (uid && uid !== object.metadata.uid) {
    const why =
      `the UID in the bound object reference (${uid}) does not match the UID in record. ` +
      'The object might have been deleted and then recreated';
    throw conflict(kind, name, why);
  }
  if (kind === boundKinds.Secret) return { secret: object };
  if (kind === boundKinds.Node) return { node: object };
  const { nodeName, serviceAccountName } = (object as Pod).spec;
  if (serviceAccountName !== request.name) {
    const account = JSON.stringify(request.name);
    throw badRequest(
      `cannot bind token for serviceaccount ${account} to pod running with different serviceaccount name.`,
    );
  }
  if (!nodeName) return { pod: object };
  try {
    return { pod: object, node: await find(NodeKind as unknown as Kind, nodeName) };
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return { pod: object, node: { metadata: { name: nodeName } } };
  }
}
