import type { Container } from '../../../api/core/pod-spec.ts';
import { StartError } from '../driver.ts';
import type { ImageConfig } from '../images/image.ts';
import { expand } from './expand.ts';

/**
 * What a container runs. The pod's `command` replaces the image's entrypoint and its cmd, `args` replaces the cmd only
 * (Kubernetes, "Define a Command and Arguments for a Container").
 */
export function commandOf(
  container: Pick<Container, 'name' | 'command' | 'args' | 'image'>,
  config: Pick<ImageConfig, 'entrypoint' | 'cmd'>,
  environment: Readonly<Record<string, string>>,
): string[] {
  const command = container.command?.map((part) => expand(part, environment)) ?? [];
  const args = container.args?.map((part) => expand(part, environment)) ?? [];
  const hasCommand = command.length > 0;
  const argv = hasCommand ? [...command, ...args] : [...config.entrypoint, ...(args.length > 0 ? args : config.cmd)];
  if (argv.length === 0) {
    throw new StartError(
      'CreateContainerError',
      `container ${container.name}: no command specified: neither the pod's command nor the image's entrypoint`,
    );
  }
  return argv;
}
