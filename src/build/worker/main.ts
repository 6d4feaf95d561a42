/** The main module of a build's process: one build at a time, forked and looked after by worker.ts. */
import { messageOf } from '../../lib/errors.ts';
import { RegistryClient } from '../../registry/index.ts';
import { buildImage } from '../build-image.ts';
import type { BuildJob, BuildOutcome } from '../builder.ts';
import { buildFolders } from '../context.ts';
import { BuildFailure } from '../failure.ts';
import { packs } from '../packs/list.ts';
import { redactFor } from '../redact.ts';
import { BuildLog, statusLogBytes } from '../steps/log.ts';
import { processRunner } from '../steps/process-runner.ts';
import { beatMs, type FromWorker, type ToWorker } from './protocol.ts';
import { RemoteLocks } from './remote-locks.ts';

const send = (message: FromWorker) => {
  // Without a callback, a channel that broke meanwhile would be an error of this process.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
};
const locks = new RemoteLocks(send);
/** For all builds: connections to the registry stay open. */
let registry: RegistryClient | undefined;
let current: AbortController | undefined;

process.on('message', (message: ToWorker) => {
  if (message.type === 'locked') locks.answer(message.id, message.isGranted);
  else if (message.type === 'cancel') current?.abort(new Error('cancelled'));
  else attempt(message.job).then((outcome) => send({ type: 'ended', outcome }), crash);
});
process.on('SIGINT', () => {}); // Ctrl-C reaches the whole foreground group; the control process says when to stop.
process.on('disconnect', () => {
  // Nobody wants the build any more. Its steps are killed by the abort; a build that goes on all the same is cut off.
  current?.abort(new Error('the control process is gone'));
  if (current === undefined) process.exit();
  else setTimeout(() => process.exit(), 1000);
});
setInterval(() => send({ type: 'beat' }), beatMs).unref();
send({ type: 'ready' });

async function attempt(job: BuildJob): Promise<BuildOutcome> {
  const abort = new AbortController();
  current = abort;
  registry ??= new RegistryClient({ mirrors: job.mirrors });
  const redact = redactFor(job.spec.source?.git?.url);
  const log = new BuildLog(undefined, redact);
  const said = () => log.tail(statusLogBytes);
  try {
    const result = await buildImage(job.spec, packs, {
      registry,
      folders: buildFolders(job.buildDir),
      log,
      signal: abort.signal,
      workDir: job.workDir,
      repository: job.repository,
      redact,
      locks,
      steps: processRunner(job.pidDir),
      progress: (message) => send({ type: 'progress', message, log: said() }),
    });
    return { type: 'built', result, log: said() };
  } catch (error) {
    if (error instanceof BuildFailure) {
      return { type: 'failed', reason: error.reason, message: error.message, log: said() };
    }
    const stack = error instanceof Error ? (error.stack ?? '') : '';
    return { type: 'broke', message: messageOf(error), stack, log: said() };
  } finally {
    current = undefined;
    if (!process.connected) process.exit();
  }
}

function crash(error: unknown): void {
  throw error;
}
