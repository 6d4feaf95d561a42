/**
 * An agent to be killed: it starts and stops containers for as long as it lives. Arguments: the node's folder, the
 * image's, that of the witnesses, and which run it is.
 *
 * Each container writes its start into `starts`; what is to be stopped stands in `stopping` before it is.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../../../lib/clock.ts';
import { silentLogger } from '../../../../../observe/log.ts';
import { containerDriver } from '../index.ts';
import { hostImage } from './host-image.ts';

const [, , dataDir = '', imageDir = '', witnessDir = '', run = ''] = process.argv;
const lanes = 3;
const never = new AbortController().signal;

mkdirSync(witnessDir, { recursive: true });
const image = hostImage(imageDir);
const driver = containerDriver({ dataDir, address: '127.0.0.1', clock: systemClock, log: silentLogger });
await driver.recover();
process.stdout.write('ready\n');
await Promise.all(Array.from({ length: lanes }, (_, lane) => work(lane)));

async function work(lane: number): Promise<void> {
  for (let serial = 0; ; serial++) {
    const uid = `run${run}-${lane}-${serial}`;
    const metadata = { name: uid, namespace: 'default', uid };
    const pod = { apiVersion: 'v1' as const, kind: 'Pod' as const, metadata, spec: { containers: [{ name: 'c' }] } };
    const sandbox = await driver.sandbox(pod, never);
    for (let restart = 0; restart < 2; restart++) {
      const running = await sandbox.start(
        {
          id: { podUid: uid, container: 'c', restart },
          spec: { name: 'c' },
          image,
          argv: ['/bin/sh', '-c', 'echo "$START" >>/witness/starts; exec sleep 1000'],
          workingDir: '/',
          environment: { START: `${uid}.${restart}` },
          mounts: [{ source: witnessDir, path: '/witness', isReadOnly: false }],
          logPath: join(dataDir, 'logs', uid),
        },
        never,
      );
      if (serial % 3 === 2) break; // It stays.
      appendFileSync(join(witnessDir, 'stopping'), `${uid}.${restart}\n`);
      running.signal('SIGKILL');
      await running.exited;
    }
    if (serial % 3 === 0) await sandbox.remove();
  }
}
