import type { Revision } from '../../api/serving/revision.ts';
import { messageOf } from '../../lib/errors.ts';
import { embeddedRegistryHost, formatReference, parseReference } from '../../registry/index.ts';

/** Asks a registry for the digest that an image reference points to now. */
export interface DigestResolver {
  resolve(reference: string, signal?: AbortSignal): Promise<string>;
}

/** Hosts of local tools whose tags have no registry behind them (Knative's registries-skipping-tag-resolving). */
const unresolvedHosts = new Set(['kind.local', 'ko.local', 'dev.local']);
const timeoutMs = 10_000;

/** An image that cannot be pinned to a digest. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
}

/** Each container's image by digest, in the order of the containers. Throws ImageError naming the image. */
export async function resolveImages(
  revision: Revision,
  resolver: DigestResolver,
  signal: AbortSignal,
): Promise<{ name: string; imageDigest: string }[]> {
  return await Promise.all(
    revision.spec.containers.map(async ({ name, image }) => ({
      name,
      imageDigest: await resolveImage(image ?? '', resolver, signal),
    })),
  );
}

async function resolveImage(image: string, resolver: DigestResolver, signal: AbortSignal): Promise<string> {
  try {
    const reference = parseReference(image);
    if (unresolvedHosts.has(reference.host)) return image;
    // Somebody else's registry is not asked about what is pinned already; our own is, which costs nothing.
    if (reference.digest !== undefined && reference.host !== embeddedRegistryHost) return image;
    const digest = await resolver.resolve(image, AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
    const { host, name } = reference;
    return formatReference({ host, name, digest });
  } catch (error) {
    throw new ImageError(`Unable to fetch image "${image}": ${describe(error)}`, { cause: error });
  }
}

/** Network errors hide what happened in their cause. */
function describe(error: unknown): string {
  const message = messageOf(error);
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : '';
  return message.includes(cause) ? message : `${message}: ${cause}`;
}
