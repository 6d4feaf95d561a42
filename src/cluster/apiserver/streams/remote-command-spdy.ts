import type { Clock } from '../../../lib/clock.ts';
import { errorText, type RemoteClient, sizeReader, type WantedStreams } from './remote-command.ts';
import { SpdySession, type SpdyStream } from './spdy/session.ts';
import type { Transport } from './transport.ts';

/** Commands over SPDY: the client makes a stream for each of the command's. Clients of old name no protocol. */
export const spdyCommandProtocols = [
  'v4.channel.k8s.io',
  'v3.channel.k8s.io',
  'v2.channel.k8s.io',
  'channel.k8s.io',
  '',
];

/** As the kubelet: so long a client has to make its streams. */
const streamsMs = 30_000;

type StreamName = 'error' | 'stdin' | 'stdout' | 'stderr' | 'resize';

/** Resolves when the client has made the streams that it `wanted`. Rejects when it does not. */
export async function spdyClient(
  transport: Transport,
  protocol: string,
  wanted: WantedStreams,
  clock: Clock,
): Promise<RemoteClient & { session: SpdySession }> {
  const version = Number(/^v(\d)/.exec(protocol)?.[1] ?? 1);
  const expected = new Set<StreamName>(['error']);
  for (const name of ['stdin', 'stdout', 'stderr'] as const) if (wanted[name]) expected.add(name);
  if (wanted.tty && version >= 3) expected.add('resize');
  const streams = new Map<StreamName, SpdyStream>();
  const complete = Promise.withResolvers<void>();
  const session = new SpdySession(transport, (stream) => {
    const name = (stream.headers.get('streamtype') ?? '') as StreamName;
    if (!expected.has(name) || streams.has(name)) return false;
    streams.set(name, stream);
    if (streams.size === expected.size) complete.resolve();
    return true;
  });
  const gone = new AbortController();
  transport.gone.addEventListener('abort', () => gone.abort(), { once: true });
  const broke = () => {
    gone.abort();
    complete.reject(new Error('the client ended the connection before it had made its streams'));
  };
  // However it ends, it is the end.
  session.serve().then(broke, () => {
    transport.destroy();
    broke();
  });
  const cancel = clock.after(streamsMs, () =>
    complete.reject(new Error('timed out waiting for client to create streams')),
  );
  try {
    await complete.promise;
  } catch (error) {
    transport.destroy();
    throw error;
  } finally {
    cancel();
  }
  return {
    session,
    stdin: streams.get('stdin'),
    stdout: streams.get('stdout'),
    stderr: streams.get('stderr'),
    gone: gone.signal,
    onResize: (listener) => streams.get('resize')?.on('data', sizeReader(listener)),
    async finish(status) {
      const text = errorText(status, version);
      // Each stream's end goes behind what was written to it: the session's end, behind all of them.
      const ends = (['stdout', 'stderr', 'error'] as const).map((name) => {
        const stream = streams.get(name);
        if (!stream || stream.destroyed || stream.writableEnded) return undefined;
        return new Promise<void>((resolve) => {
          stream.once('close', resolve);
          stream.end(name === 'error' ? text : undefined, () => resolve());
        });
      });
      await Promise.all(ends);
      session.end();
    },
  };
}
