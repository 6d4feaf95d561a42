import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { loopback } from '../observe/listen.ts';
import { defaultConfig, defaultDataDir, portDefinitions, portsBy } from '../server/config.ts';
import { roleNames } from '../server/roles.ts';
import type { CommonOptions } from './platform.ts';
import { printError } from './terminal.ts';

const program = new Command('kittiwake')
  .description('Serverless on this machine or any Kubernetes: from source to a service that wakes from zero.')
  .option('--data-dir <folder>', 'where everything is kept', notEmpty('--data-dir'), defaultDataDir())
  .version('0.1.0')
  .showHelpAfterError('(see kittiwake --help)')
  .configureHelp({ showGlobalOptions: true });

const common = (): CommonOptions => ({ dataDir: resolve(program.opts().dataDir) });

const up = program
  .command('up')
  .summary('start the platform')
  .description('Starts the whole platform and stays in the foreground; Ctrl-C stops it. Resumes from what was there.')
  .option('-d, --detach', 'return when it is ready, and leave it running')
  .option('--domain <domain>', 'services are NAME.NAMESPACE.<domain>', 'localhost')
  .option('--bind-address <address>', 'where everything listens', loopback)
  .option('--without-credentials', 'let everybody in who reaches --bind-address, to all but the API server')
  .option(
    '--kubeconfig <file>',
    'of a Kubernetes to run on, instead of the embedded one',
    notEmpty('--kubeconfig', 'file'),
  )
  .option('--plain-http-registry <host...>', 'HOST[:PORT] of a registry that is asked without TLS')
  .addOption(
    new Option('--log-level <level>', 'of the files in <data-dir>/logs')
      .choices(['debug', 'info', 'warn', 'error'])
      .default('info'),
  );
addPortOptions(up).action(async (options) => (await import('./up.ts')).up(common(), configOf(options), options.detach));

program
  .command('down')
  .summary('stop the platform')
  .description('Stops a platform that runs elsewhere on this machine. What it holds stays in the data folder.')
  .action(async () => (await import('./down.ts')).down(common()));

program
  .command('status')
  .summary('what runs, and how well')
  .description(
    'Says where the running platform listens, which roles are ready, which services there are, what is set aside as ' +
      'it ended a role more than once, and which roles were started again. Exits with 0 when all is well, with 1 ' +
      'when no platform runs, with 2 when a role is not ready or something is set aside.',
  )
  .action(async () => (await import('./status.ts')).status(common()));

program
  .command('release')
  .summary('give back what was set aside')
  .description(
    'What ends a role more than once is set aside, so that everything else goes on; kittiwake status names it. This ' +
      'gives it back, to be tried again. Works also while the platform is down.',
  )
  .argument('<role>', roleNames.join(', '))
  .argument('[name...]', 'as kittiwake status shows it')
  .option('--all', 'everything of that role')
  .addHelpText('after', "\nExample:\n  kittiwake release control 'revision default/orders-00001'")
  .action(async (role, words, options) => (await import('./release.ts')).releaseWork(common(), role, words, options));

// `kittiwake broker release NAME` says what `kittiwake release broker NAME` says.
for (const role of roleNames) {
  program
    .command(role, { hidden: true })
    .command('release')
    .summary('give back what was set aside')
    .argument('[name...]', 'as kittiwake status shows it')
    .option('--all', 'everything of that role')
    .action(async (words, options) => (await import('./release.ts')).releaseWork(common(), role, words, options));
}

program
  .command('doctor')
  .summary('what this machine can do')
  .description('Checks what the platform needs of this machine, and says what is missing and how to get it.')
  .action(async () => (await import('./doctor.ts')).doctor(common()));

program
  .command('deploy')
  .summary('turn a folder, or an image, into a running URL')
  .description(
    'Uploads a folder, builds it, and waits until it serves. Prints the URL; shows the build log when it fails. ' +
      'With --image nothing is built.',
  )
  .argument('[folder]', 'what to deploy: a Node.js or TypeScript app or function (default: ".")')
  .option('--image <image>', 'what to run instead, from any registry')
  .option('--port <port>', 'on which its program listens; the one in PORT unless given')
  .option('--name <name>', 'of the service; from func.yaml, package.json, the folder or the image unless given')
  .option('-n, --namespace <namespace>', 'where to put it', 'default')
  .option('-e, --env <NAME=value>', 'environment of the service, the whole of it; may be repeated', collect)
  .option('--allow-scripts', 'let dependencies run their install scripts')
  .option('--timeout <seconds>', 'how long to wait', '300')
  .addHelpText(
    'after',
    '\nExamples:\n  kittiwake deploy ./my-app --env LOG=debug\n  kittiwake deploy --image nginx --port 80',
  )
  .action(async (folder, options) => (await import('./deploy.ts')).deploy(common(), folder, options));

program
  .command('invoke')
  .summary('send a request to a service')
  .description('Sends one HTTP request to a service through the gateway and prints the reply.')
  .argument('<name>', 'of the service')
  .option('-n, --namespace <namespace>', 'of the service', 'default')
  .option('-X, --method <method>', 'POST when there is data, else GET')
  .option('-p, --path <path>', 'with its query', '/')
  .option('-d, --data <data>', 'the body; @FILE reads a file')
  .option('-H, --header <name: value>', 'one more header; may be repeated', collect)
  .option('--timeout <seconds>', 'how long the service may be silent', '300')
  .addHelpText('after', `\nExample:\n  kittiwake invoke orders -p /orders -d '{"customer": "Ada"}'`)
  .action(async (name, options) => (await import('./invoke.ts')).invoke(common(), name, options));

program
  .command('send')
  .summary('send an event to a broker')
  .description('Sends one CloudEvent to a broker; succeeds once the event is on disk.')
  .requiredOption('-t, --type <type>', 'of the event, for example order.placed')
  .option('-b, --broker <name>', 'which broker', 'default')
  .option('-n, --namespace <namespace>', 'of the broker', 'default')
  .option('-s, --source <source>', 'of the event', '/kittiwake/cli')
  .option('--id <id>', 'a new one unless given')
  .option('-d, --data <data>', 'JSON, or text with --content-type; @FILE reads a file')
  .option('--content-type <type>', 'of the data', 'application/json')
  .option('-x, --extension <name=value>', 'one more attribute; may be repeated', collect)
  .addHelpText('after', `\nExample:\n  kittiwake send --type order.placed --data '{"id": 1}'`)
  .action(async (options) => (await import('./send.ts')).send(common(), options));

program
  .command('logs')
  .summary('what a service prints')
  .description("Prints the logs of a service's pods; with --follow also those of pods to come.")
  .argument('<name>', 'of the service')
  .option('-n, --namespace <namespace>', 'of the service', 'default')
  .option('-f, --follow', 'go on until Ctrl-C')
  .option('--tail <lines>', 'only the last ones of each pod')
  .option('--build', 'the log of the last build instead')
  .action(async (name, options) => (await import('./logs.ts')).logs(common(), name, options));

program
  .command('apply')
  .summary('apply a manifest')
  .description(
    'Creates or updates what a manifest says, like kubectl apply; folders in spec.build.source are uploaded.',
  )
  .requiredOption('-f, --filename <file>', 'YAML or JSON, or a folder of such files; - reads standard input')
  .option('-R, --recursive', 'also the folders in the folder')
  .option('-n, --namespace <namespace>', 'for objects that name none', 'default')
  .action(async (options) => (await import('./apply.ts')).apply(common(), options));

program
  .command('get')
  .summary('list objects')
  .description('Lists objects of a kind, or shows one: any kind that the API server knows, by any of its names.')
  .argument('<kind>', 'for example ksvc, revisions, pods; several with commas')
  .argument('[name]', 'one only; KIND/NAME says the same')
  .option('-n, --namespace <namespace>', 'in this namespace', 'default')
  .option('-A, --all-namespaces', 'in all namespaces')
  .addOption(new Option('-o, --output <format>', 'instead of a table').choices(['yaml', 'json', 'name', 'wide']))
  .action(async (kind, name, options) => (await import('./get.ts')).get(common(), kind, name, options));

program
  .command('delete')
  .summary('delete objects')
  .description('Deletes an object by kind and name, or all that a manifest names, and what they own.')
  .argument('[kind]', 'for example ksvc')
  .argument('[name]', 'of the object; KIND/NAME says the same')
  .option('-f, --filename <file>', 'delete what this manifest, or those of this folder, name')
  .option('-R, --recursive', 'also the folders in the folder')
  .option('-n, --namespace <namespace>', 'of the object', 'default')
  .action(async (kind, name, options) => (await import('./delete.ts')).deleteObjects(common(), kind, name, options));

const demo = program
  .command('demo')
  .summary('run the example and show each step')
  .description('Starts the platform, runs examples/orders on it step by step, and stays up until Ctrl-C.');
addPortOptions(demo).action(async (options) => (await import('./demo.ts')).demo(common(), configOf(options)));

function addPortOptions(command: InstanceType<typeof Command>) {
  for (const { flag, port, role } of Object.values(portDefinitions)) {
    command.option(`${flag} <port>`, `of the ${role}; 0 is any`, parsePort(flag), port);
  }
  return command;
}

function collect(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), text];
}

/** An empty word is a variable that is not set: as a path it would be the current folder. */
function notEmpty(flag: string, what = 'folder') {
  return (text: string): string => (text === '' ? program.error(`error: ${flag} is empty: name a ${what}`) : text);
}

function parsePort(flag: string) {
  return (text: string): number => {
    const port = Number(text);
    if (/^\d+$/.test(text) && port <= 65_535) return port;
    return program.error(`error: ${flag} is ${JSON.stringify(text)}: a port is a whole number from 0 to 65535`);
  };
}

function configOf(options: Record<string, unknown>) {
  const config = defaultConfig();
  config.dataDir = common().dataDir;
  // Commander names an option's value in camel case, and parsePort has made it a number.
  const optionOf = (flag: string) => flag.slice(2).replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  config.ports = portsBy((name) => options[optionOf(portDefinitions[name].flag)] as number);
  if (typeof options.domain === 'string') config.domain = options.domain;
  if (typeof options.bindAddress === 'string') config.bindAddress = options.bindAddress;
  config.isOpen = options.withoutCredentials === true;
  if (typeof options.kubeconfig === 'string') {
    config.kubeconfig = resolve(options.kubeconfig);
    config.substrate = 'cluster';
  }
  if (Array.isArray(options.plainHttpRegistry)) config.plainHttpRegistries = options.plainHttpRegistry.map(String);
  if (typeof options.logLevel === 'string') config.logLevel = options.logLevel as typeof config.logLevel;
  return config;
}

/** The words that are meant: those of a command that is not there, without `--help`, so that they are an error. */
function argumentsMeant(): string[] {
  const given = process.argv.slice(2);
  const { operands } = program.parseOptions(given);
  const [name, ...rest] = operands[0] === 'help' ? operands.slice(1) : operands;
  const isKnown = name === undefined || name === 'help' || program.commands.some((command) => command.name() === name);
  return isKnown ? given : [name, ...rest];
}

// Who reads the output may have read enough, as `head` does.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') printError(error);
    process.exit(error.code === 'EPIPE' ? (process.exitCode ?? 0) : 1);
  });
}
// What nobody caught ends the command in words, too; KITTIWAKE_DEBUG=1 adds where it came from.
process.on('uncaughtException', (error) => {
  printError(error);
  process.exit(1);
});

for (const command of program.commands) command.showHelpAfterError(`(see kittiwake ${command.name()} --help)`);

try {
  await program.parseAsync(argumentsMeant(), { from: 'user' });
} catch (error) {
  printError(error);
  process.exitCode = 1;
}
