import { posix } from 'node:path';
import { type ContainerOnNode, StartError } from '../../../driver.ts';

/** What execve takes as one argument or variable, with its NUL (MAX_ARG_STRLEN). */
const textSizeMax = 131_071;

/** Says in words what the kernel would refuse with a number, or cut: texts with NUL, or longer than it takes. */
export function checkValues({ argv, environment, workingDir, id }: ContainerOnNode): void {
  for (const [index, text] of argv.entries()) check(`argument ${index}`, text);
  for (const [name, value] of Object.entries(environment)) {
    if (name === '' || name.includes('=')) throw refused(`no variable can have the name ${JSON.stringify(name)}`);
    check(`the variable ${name.slice(0, 100)}`, `${name}=${value}`);
  }
  check('workingDir', workingDir);
  if (workingDir.length >= 4096)
    throw refused(`workingDir has ${workingDir.length} characters: a path has at most 4095`);
  // What the runtime has open while it starts is not the container's: some leave a folder of the machine among it.
  if (/^\/?proc\/[^/]+\/(fd|task|root|cwd)(\/|$)/.test(posix.normalize(workingDir))) {
    throw refused(
      `workingDir ${workingDir} is a folder that a process has open: it is one of the image, or of a volume`,
    );
  }
  if (argv[0] === undefined || argv[0] === '') throw refused(`no command specified for the container ${id.container}`);
}

function check(what: string, text: string): void {
  if (text.includes('\0')) throw refused(`${what} holds a NUL, at which the kernel ends it`);
  const size = Buffer.byteLength(text);
  if (size > textSizeMax) throw refused(`${what} has ${size} bytes: the kernel takes at most ${textSizeMax}`);
}

const refused = (why: string) => new StartError('CreateContainerError', why);
