import type { ImagePullError } from '../images/image.ts';

type Said = readonly [type: 'Normal' | 'Warning', reason: string, message: string];

/** What a container that waits for its image says, and the events of it, in the kubelet's words. */
export interface PullFailure {
  reason: string;
  message: string;
  events: readonly Said[];
  /** What it says once it is only waited for another try; nothing where none is of use until the pod changes. */
  backOff?: Omit<PullFailure, 'backOff'>;
}

export function pullFailure({ reason, message }: ImagePullError, image: string): PullFailure {
  const failed: Said = ['Warning', 'Failed', `Error: ${reason}`];
  switch (reason) {
    case 'InvalidImageName':
      return { reason, message, events: [['Warning', 'InspectFailed', message], failed] };
    case 'ErrImageNeverPull':
      return { reason, message, events: [['Warning', 'ErrImageNeverPull', message], failed] };
    case 'ErrImagePull': {
      const again = `Back-off pulling image "${image}"`;
      return {
        reason,
        message,
        events: [['Warning', 'Failed', `Failed to pull image "${image}": ${message}`], failed],
        backOff: {
          reason: 'ImagePullBackOff',
          message: `${again}: ErrImagePull: ${message}`,
          events: [
            ['Normal', 'BackOff', again],
            ['Warning', 'Failed', 'Error: ImagePullBackOff'],
          ],
        },
      };
    }
  }
}
