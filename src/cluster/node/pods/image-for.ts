import type { Pod } from '../../../api/core/pod.ts';
import type { Container } from '../../../api/core/pod-spec.ts';
import { messageOf } from '../../../lib/errors.ts';
import { formatGoDuration } from '../../../lib/go-duration.ts';
import type { Credentials } from '../../../registry/auth.ts';
import { runtimeLabel } from '../../../registry/labels.ts';
import { formatReference, parseReference } from '../../../registry/reference.ts';
import { StartError } from '../driver.ts';
import { type Image, ImagePullError } from '../images/image.ts';
import { hostPlatform } from '../images/platform.ts';
import type { NodeContext } from './node-context.ts';
import { pullCredentials } from './pull-secrets.ts';

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
  let credentials: Credentials[] | undefined;
  if (image) {
    events.record(pod, 'Normal', 'Pulled', `Container image "${reference}" already present on machine`);
  } else {
    if (imagePullPolicy === 'Never') {
      const message = `Container image "${reference}" is not present with pull policy of Never`;
      throw new ImagePullError('ErrImageNeverPull', message);
    }
    const begunMs = clock.monotonic();
    events.record(pod, 'Normal', 'Pulling', `Pulling image "${reference}"`);
    credentials = await pullCredentials(node, pod, reference);
    image = await images.pull(reference, { isFresh, credentials });
    const tookMs = clock.monotonic() - begunMs;
    metrics?.pullSeconds.observe(tookMs / 1000);
    const took = formatGoDuration(Math.round(tookMs));
    const size = `Image size: ${image.sizeBytes ?? 0} bytes.`;
    const message = `Successfully pulled image "${reference}" in ${took} (${took} including waiting). ${size}`;
    events.record(pod, 'Normal', 'Pulled', message);
  }
  const { platform, labels } = image.config;
  if (platform !== hostPlatform && labels[runtimeLabel] === undefined) {
    const message = `the image "${reference}" is for ${platform}, but this machine is ${hostPlatform}`;
    throw new StartError('CreateContainerError', message);
  }
  if (withoutBase || image.base.length === 0) return image;
  return images.whole(reference, image, { credentials: credentials ?? (await pullCredentials(node, pod, reference)) });
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
    const message = `Failed to apply default image tag "${reference}": couldn't parse image name: ${messageOf(error)}`;
    throw new ImagePullError('InvalidImageName', message, { cause: error });
  }
}
