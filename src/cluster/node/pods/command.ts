import type { Container } from '../../../api/core/pod-spec.ts';
import { StartError } from '../driver.ts';
import type { ImageConfig } from '../images/image.ts';
import { expand, TextBudget } from './expand.ts';

/**
 * What a container runs. The pod's `command` replaces the image's entrypoint and its cmd, `args` replaces the cmd only
 * (Kubernetes, "Define a Command and Arguments for a Container").
 */
export function commandOf(
  container: Pick<Container, 'name' | 'command' | 'args' | 'image'>,
  config: Pick<ImageConfig, 'entrypoint' | 'cmd'>,
  environment: Readonly<Record<string, string>>,
): string[] {
  const budget = new TextBudget();
  const expanded = (part: string) => {
    const text = expand(part, environment);
    budget.take(text);
    return text;
  };
  const command = container.command?.map(expanded) ?? [];
  const args = container.args?.map(expanded) ?? [];
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
