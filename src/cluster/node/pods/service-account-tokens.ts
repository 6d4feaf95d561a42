import { type TokenRequest, TokenRequestKind, tokenSecondsDefault } from '../../../api/authentication/token-request.ts';
import type { Pod } from '../../../api/core/pod.ts';
import { ServiceAccountKind } from '../../../api/core/service-account.ts';
import type { VolumeProjection } from '../../../api/core/volume.ts';
import { apiVersionOf, type Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/meta.ts';
import type { Client } from '../../../kube/client.ts';
import type { Clock } from '../../../lib/clock.ts';

export type TokenProjection = NonNullable<VolumeProjection['serviceAccountToken']>;

/** A token is renewed when so much of its life is over, or it is a day old (as kubelet does). */
const renewalShare = 0.8;
const ageMaxMs = 24 * 3600_000;
/** So that not all that were made together are renewed together. */
const jitterMs = 10_000;

interface Held {
  token: string;
  renewAtMs: number;
  endsAtMs: number;
}

/** The tokens that the volumes of one pod show: each asked for once, bound to the pod, and anew before its end. */
export class PodTokens {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #held = new Map<string, Held>();

  constructor(client: Client, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** Rejects when there is none and none can be had; one that is due, but still good, is better than none. */
  async token(pod: Pod, projection: TokenProjection): Promise<string> {
    const { audience = '', expirationSeconds = tokenSecondsDefault } = projection;
    const key = JSON.stringify([audience, expirationSeconds]);
    const held = this.#held.get(key);
    if (held && this.#clock.now() < held.renewAtMs) return held.token;
    try {
      const fresh = await this.#ask(pod, audience, expirationSeconds);
      this.#held.set(key, fresh);
      return fresh.token;
    } catch (error) {
      if (held && this.#clock.now() < held.endsAtMs) return held.token;
      throw error;
    }
  }

  /** When the first of them is to be renewed; undefined while there are none. */
  get renewAtMs(): number | undefined {
    const times = [...this.#held.values()].map(({ renewAtMs }) => renewAtMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  async #ask({ metadata, spec }: Pod, audience: string, expirationSeconds: number): Promise<Held> {
    const { namespace = 'default', name, uid } = metadata;
    const asked = {
      apiVersion: apiVersionOf(TokenRequestKind),
      kind: TokenRequestKind.kind,
      metadata: {},
      spec: {
        audiences: audience === '' ? [] : [audience],
        expirationSeconds,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      },
    };
    const account = { namespace, name: spec.serviceAccountName || 'default' };
    const kind = ServiceAccountKind as unknown as Kind;
    const answer = await this.#client.createOn(kind, account, 'token', asked as unknown as KubeObject);
    const { token = '', expirationTimestamp } = (answer as TokenRequest).status ?? {};
    const now = this.#clock.now();
    const endsAtMs = Date.parse(expirationTimestamp ?? '') || now + expirationSeconds * 1000;
    const lifeMs = Math.min((endsAtMs - now) * renewalShare, ageMaxMs);
    return { token, endsAtMs, renewAtMs: now + lifeMs - Math.random() * Math.min(jitterMs, lifeMs / 10) };
  }
}
