import type { Pod } from '../../../api/core/pod.ts';
import type { Container } from '../../../api/core/pod-spec.ts';
import { runtimeLabel } from '../../../registry/labels.ts';
import { formatReference, parseReference } from '../../../registry/reference.ts';
import { StartError } from '../driver.ts';
import { type Image, ImagePullError } from '../images/image.ts';
import { hostPlatform } from '../images/platform.ts';
import type { NodeContext } from './node-context.ts';

/** The container's image, pulled as its pull policy says; `withoutBase`: what it stands on is there already. */
export async function imageFor(
  node: NodeContext,
  pod: Pod,
  container: Container,
  withoutBase: boolean,
): Promise<Image> {
  const { images, events, clock, metrics } = node;
  const { image: reference = '', imagePullPolicy } = container;
  const isFresh = imagePullPolicy === 'Always';
  let image = find(node, reference, isFresh);
  if (image) {
    events.record(pod, 'Normal', 'Pulled', `Container image "${reference}" already present on machine`);
  } else {
    if (imagePullPolicy === 'Never') {
      throw new ImagePullError(`Container image "${reference}" is not present with pull policy of Never`);
    }
    const begunMs = clock.monotonic();
    events.record(pod, 'Normal', 'Pulling', `Pulling image "${reference}"`);
    image = await images.pull(reference, isFresh);
    const tookMs = clock.monotonic() - begunMs;
    metrics?.pullSeconds.observe(tookMs / 1000);
    events.record(pod, 'Normal', 'Pulled', `Successfully pulled image "${reference}" in ${Math.round(tookMs)}ms`);
  }
  const { platform, labels } = image.config;
  if (platform !== hostPlatform && labels[runtimeLabel] === undefined) {
    const message = `the image "${reference}" is for ${platform}, but this machine is ${hostPlatform}`;
    throw new StartError('CreateContainerError', message);
  }
  return withoutBase ? image : images.whole(reference, image);
}

/** As in a container's status: the repository with the digest. */
export function imageIdOf({ image = '' }: Pick<Container, 'image'>, { digest }: Pick<Image, 'digest'>): string {
  const { host, name } = parseReference(image);
  return formatReference({ host, name, digest });
}

function find({ images }: NodeContext, reference: string, isFresh: boolean): Image | undefined {
  try {
    return images.find(reference, isFresh);
  } catch (error) {
    throw new ImagePullError(`failed to apply default image tag "${reference}": couldn't parse image name`, {
      cause: error,
    });
  }
}
