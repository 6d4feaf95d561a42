import type { Pod } from '../../../api/core/pod.ts';
import { ApiError, badRequest } from '../../../api/status.ts';
import type { PodStreams } from '../../pod-streams.ts';
import type { RequestInfo } from '../request-info.ts';
import type { Pipeline } from '../resources.ts';
import type { Stream } from '../strategy.ts';
import type { WantedStreams } from '../streams/remote-command.ts';
import { type StreamOptions, upgradeRequired, upgradeToCommand, upgradeToForwarding } from '../streams/upgrade.ts';
import { containerOf } from './pod-container.ts';

export interface PodStreamsOptions extends StreamOptions {
  /** The node agent; without it pods have no streams. */
  podStreams: PodStreams | undefined;
}

/** `exec`, `attach` and `portforward`: what needs a connection of its own, with a protocol other than HTTP. */
export function podStreamSubresources(options: PodStreamsOptions): Record<'exec' | 'attach' | 'portforward', Stream> {
  const agent = () => {
    if (options.podStreams) return options.podStreams;
    throw new ApiError(501, 'NotImplemented', 'this API server runs without a node agent: pods have no streams');
  };
  return {
    exec: stream(async (pod, upgrade) => {
      const { query } = upgrade;
      const wanted = wantedStreams(query);
      const command = query.getAll('command');
      if (command.length === 0) throw badRequest('you must specify at least one command for the container');
      const container = containerOf(pod, query.get('container'));
      const { exec } = agent();
      const start = (signal: AbortSignal) => exec(pod, { container, command, ...forDriver(wanted) }, signal);
      return upgradeToCommand(upgrade, wanted, { verb: 'exec', start }, options);
    }),
    attach: stream(async (pod, upgrade) => {
      const { query } = upgrade;
      const wanted = wantedStreams(query);
      const container = containerOf(pod, query.get('container'));
      const { attach } = agent();
      const start = (signal: AbortSignal) => attach(pod, { container, ...forDriver(wanted) }, signal);
      return upgradeToCommand(upgrade, wanted, { verb: 'attach', start }, options);
    }),
    portforward: stream(async (pod, upgrade) => {
      const { forward } = agent();
      const { metadata } = pod;
      const forwarding = {
        pod: `${metadata.name}, uid ${metadata.uid}`,
        clock: options.clock,
        connect: (port: number) => forward(pod, port),
      };
      return upgradeToForwarding(upgrade, forwarding, options);
    }),
  };
}

type Upgraded = Parameters<NonNullable<Stream['upgrade']>>[1];

/** A subresource that looks up its pod, and goes on with it in another protocol. */
function stream(upgrade: (pod: Pod, connection: Upgraded) => Promise<void>): Stream {
  return {
    type: 'stream',
    verbs: ['create', 'get'],
    serve: async () => {
      throw upgradeRequired();
    },
    async upgrade(info, connection, pipeline) {
      const pod = await podOf(info, pipeline);
      if (!pod.spec.nodeName) throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
      return upgrade(pod, connection);
    },
  };
}

async function podOf(info: RequestInfo, pipeline: Pipeline): Promise<Pod> {
  const { object } = await pipeline.get({ ...info, name: info.name ?? '', verb: 'get', subresource: undefined });
  return object as Pod;
}

/** As the kubelet takes them: a terminal has one output only. */
function wantedStreams(query: URLSearchParams): WantedStreams {
  const isSet = (name: string) => ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(query.get(name) ?? '');
  const tty = isSet('tty');
  const wanted = { stdin: isSet('stdin'), stdout: isSet('stdout'), stderr: isSet('stderr') && !tty, tty };
  if (wanted.stdin || wanted.stdout || wanted.stderr) return wanted;
  throw badRequest('you must specify at least 1 of stdin, stdout, stderr');
}

const forDriver = ({ stdin, tty }: WantedStreams) => ({ hasStdin: stdin, hasTerminal: tty });
