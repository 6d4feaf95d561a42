import { randomUUID } from 'node:crypto';
import type { KubeObject } from '../../../api/meta.ts';
import { serviceAccount, type UserInfo } from '../../../api/user.ts';
import type { Clock } from '../../../lib/clock.ts';
import { signJwt, verifyJwt } from './jwt.ts';
import { ensureSigningKey, publicJwk, type SigningKey } from './signing-key.ts';

/** Who issues the tokens; also for whom they are, unless they are asked for for somebody else (kubeadm's choice). */
export const issuer = 'https://kubernetes.default.svc.cluster.local';

/** Clocks differ: so long after its end, or before its beginning, a token counts (jose's leeway, as in Kubernetes). */
const leewayMs = 60_000;

/** How many tokens are remembered whose signatures were found good; the one not used for longest is forgotten first. */
const rememberedMax = 1000;

export interface TokenOptions {
  keyFile: string;
  clock: Clock;
  /** The stored object of a core resource, by its plural and key. */
  find(plural: string, key: string): KubeObject | undefined;
}

/** What a token is bound to besides its account. */
export interface Bound {
  pod?: KubeObject;
  secret?: KubeObject;
  /** Of a pod's token: where the pod is; it may be gone by then. */
  node?: { metadata: { name: string; uid?: string } };
}

export interface Grant extends Bound {
  account: KubeObject;
  audiences: readonly string[];
  seconds: number;
}

/** Whom a token stands for, and which of the wanted audiences it is for; or why it is not good. */
export type Authentication = { user: UserInfo; audiences: string[] } | { error: string };

interface Reference {
  name: string;
  uid?: string;
}

interface Claims {
  iss: string;
  sub: string;
  aud: string[];
  iat: number;
  nbf: number;
  exp: number;
  jti: string;
  'kubernetes.io': {
    namespace: string;
    serviceaccount: Reference;
    pod?: Reference;
    secret?: Reference;
    node?: Reference;
  };
}

/**
 * The tokens of ServiceAccounts, with the claims that Kubernetes gives them. Each is signed, and good until its end, or
 * until the account or what it is bound to is gone, or is another of the same name.
 */
export class ServiceAccountTokens {
  readonly #options: TokenOptions;
  readonly #verified = new Map<string, Claims>();
  #key: SigningKey | undefined;

  constructor(options: TokenOptions) {
    this.#options = options;
  }

  /** Makes the key when there is none. Throws when the one that is there cannot be used. */
  open(): void {
    this.#key ??= ensureSigningKey(this.#options.keyFile);
  }

  /** The keys by which others can verify the tokens (RFC 7517). */
  keySet(): object {
    return { keys: [publicJwk(this.#signingKey)] };
  }

  issue({ account, audiences, node, pod, seconds, secret }: Grant): string {
    const now = Math.floor(this.#options.clock.now() / 1000);
    const { namespace = '', name } = account.metadata;
    const claims: Claims = {
      aud: [...audiences],
      exp: now + seconds,
      iat: now,
      iss: issuer,
      jti: randomUUID(),
      'kubernetes.io': {
        namespace,
        ...(node && { node: referenceTo(node) }),
        ...(pod && { pod: referenceTo(pod) }),
        ...(secret && { secret: referenceTo(secret) }),
        serviceaccount: referenceTo(account),
      },
      nbf: now,
      sub: serviceAccount(namespace, name).name,
    };
    return signJwt(this.#signingKey, claims);
  }

  /** Whom the token stands for, with those of the audiences that it is for; the API server's unless given. */
  authenticate(token: string, audiences: readonly string[] = [issuer]): Authentication {
    const claims = this.#verify(token);
    if (!claims) return { error: 'invalid bearer token' };
    const meant = audiences.filter((audience) => claims.aud.includes(audience));
    if (meant.length === 0) {
      const [given, wanted] = [claims.aud, audiences].map(
        (list) => `[${list.map((a) => JSON.stringify(a)).join(' ')}]`,
      );
      return { error: `token audiences ${given} is invalid for the target audiences ${wanted}` };
    }
    const error = this.#expired(claims) ?? this.#orphaned(claims);
    return error === undefined ? { user: userOf(claims), audiences: meant } : { error };
  }

  get #signingKey(): SigningKey {
    this.open();
    return this.#key as SigningKey;
  }

  #verify(token: string): Claims | undefined {
    const known = this.#verified.get(token);
    const claims = known ?? (verifyJwt(this.#signingKey, token) as Claims | undefined);
    if (claims?.iss !== issuer) return undefined;
    this.#verified.delete(token);
    this.#verified.set(token, claims);
    if (this.#verified.size > rememberedMax) this.#verified.delete(this.#verified.keys().next().value ?? '');
    return claims;
  }

  #expired({ exp, iat, nbf }: Claims): string | undefined {
    const now = this.#options.clock.now();
    if (now - leewayMs > exp * 1000) return 'service account token has expired';
    if (now + leewayMs < nbf * 1000) return 'service account token is not valid yet';
    return now + leewayMs < iat * 1000 ? 'service account token is issued in the future' : undefined;
  }

  /** What of the objects that the token stands on is not there any more. */
  #orphaned({ 'kubernetes.io': facts }: Claims): string | undefined {
    const { namespace, node, pod, secret, serviceaccount } = facts;
    const { find } = this.#options;
    const account = find('serviceaccounts', `${namespace}/${serviceaccount.name}`);
    if (!account) return `serviceaccounts ${JSON.stringify(serviceaccount.name)} not found`;
    const { uid } = account.metadata;
    if (uid !== serviceaccount.uid) {
      return `service account UID (${uid}) does not match claim (${serviceaccount.uid})`;
    }
    if (this.#isLeaving(account)) return `service account ${namespace}/${serviceaccount.name} has been deleted`;
    const bound: [plural: string, what: string, key: string, reference: Reference | undefined][] = [
      ['secrets', 'secret', `${namespace}/${secret?.name}`, secret],
      ['pods', 'pod', `${namespace}/${pod?.name}`, pod],
      // Of a pod's token the node is only told: the pod is what it stands and falls with.
      ['nodes', 'node', `${node?.name}`, pod ? undefined : node],
    ];
    for (const [plural, what, key, reference] of bound) {
      if (!reference) continue;
      const object = find(plural, key);
      if (!object || this.#isLeaving(object)) return 'service account token has been invalidated';
      if (object.metadata.uid === reference.uid) continue;
      return `${what} UID (${object.metadata.uid}) does not match service account ${what} ref claim (${reference.uid})`;
    }
    return undefined;
  }

  /** What is being deleted still counts for a moment: it is told so while it ends. */
  #isLeaving({ metadata: { deletionTimestamp } }: KubeObject): boolean {
    return deletionTimestamp !== undefined && Date.parse(deletionTimestamp) < this.#options.clock.now() - leewayMs;
  }
}

const referenceTo = ({ metadata: { name, uid } }: { metadata: Reference }): Reference => ({
  name,
  ...(uid !== undefined && { uid }),
});

/** The keys of `extra` are Kubernetes' own. */
function userOf({ jti, 'kubernetes.io': { namespace, node, pod, serviceaccount } }: Claims): UserInfo {
  const extra: Record<string, readonly string[]> = {};
  const note = (key: string, value: string | undefined) => {
    if (value !== undefined) extra[`authentication.kubernetes.io/${key}`] = [value];
  };
  note('credential-id', `JTI=${jti}`);
  note('node-name', node?.name);
  note('node-uid', node?.uid);
  note('pod-name', pod?.name);
  note('pod-uid', pod?.uid);
  const uid = serviceaccount.uid ?? '';
  return { ...serviceAccount(namespace, serviceaccount.name), uid, extra };
}
