/**
 * A session with kubectl as a person has it: exec, attach, cp, port-forward, logs, debug. The same commands are given
 * to ours and were given to a real Kubernetes (record.ts); what they print is compared, names and times aside.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

export interface Printed {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Session {
  kubectl: string;
  environment: NodeJS.ProcessEnv;
  /** An empty folder. */
  dir: string;
  /** With sh, cat, tar, sleep, stty; on the node. */
  image: string;
  /** Where a pod of it may write; '' for where it is. */
  podDir: string;
  /** Serves 8080 in the pod: gives back what it is sent, to its end. */
  echo: string;
}

/** `echo` runs in it, and says something now and then. */
export const podOf = ({ image, echo }: Session): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'talker', namespace: 'default' },
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        name: 'main',
        image,
        imagePullPolicy: 'IfNotPresent',
        command: ['sh', '-c', `echo first; echo second; echo third; ${echo} & while :; do sleep 1; echo tick; done`],
        ports: [{ containerPort: 8080 }],
      },
      {
        name: 'other',
        image,
        imagePullPolicy: 'IfNotPresent',
        command: ['sh', '-c', 'echo only; exec sleep 100000'],
      },
    ],
  },
});

/** Runs it, and returns what each of its commands has printed, as far as it is the same anywhere. */
export async function runSession(session: Session): Promise<Record<string, Printed>> {
  const { dir, image, podDir } = session;
  const printed: Record<string, Printed> = {};
  const run = (args: string[], options: { input?: string | Buffer; tty?: boolean } = {}) =>
    runKubectl(session, args, options);
  const step = async (name: string, args: string[], options: { input?: string | Buffer; tty?: boolean } = {}) => {
    printed[name] = normal(await run(args, options));
  };
  const manifest = join(dir, 'pod.json');
  writeFileSync(manifest, JSON.stringify(podOf(session)));
  await run(['apply', '-f', manifest]);
  await run(['wait', '--for=condition=Ready', 'pod/talker', '--timeout=60s']);

  const exec = ['exec', 'talker', '-c', 'main'];
  await step('a command has two outputs and an exit code', [
    ...exec,
    '--',
    'sh',
    '-c',
    'echo out; echo err >&2; exit 3',
  ]);
  await step('a command reads its input to the end', [...exec, '-i', '--', 'cat'], { input: 'one\ntwo\n' });
  await step('a command without input does not wait for any', [...exec, '--', 'cat']);
  await step('a command that a signal ends', [...exec, '--', 'sh', '-c', 'kill -9 $$']);
  await step('a command that is not there', [...exec, '--', 'frobnicate', '-x']);
  await step('a container that is not there', ['exec', 'talker', '-c', 'nope', '--', 'true']);
  await step('a pod that is not there', ['exec', 'nobody', '--', 'true']);
  await step('the first container, where none is named', ['exec', 'talker', '--', 'echo', 'hi']);
  const shown = 'sleep 2; stty size; tty | sed s/[0-9]*$/N/; echo $TERM; exit 4';
  await step('a terminal has the size of the one that it is shown on', [...exec, '-it', '--', 'sh', '-c', shown], {
    tty: true,
  });
  await step('what is typed', [...exec, '-it', '--', 'sh', '-c', 'read line; echo "said $line"'], {
    tty: true,
    input: 'hello\r',
  });

  const logs = ['logs', 'talker', '-c', 'main'];
  await step('the first bytes of a log', [...logs, '--limit-bytes=10']);
  await step('the last line of a log', ['logs', 'talker', '-c', 'other', '--tail=1']);
  await step('a log with times', ['logs', 'talker', '-c', 'other', '--timestamps']);
  await step('a log of the last hour', ['logs', 'talker', '-c', 'other', '--since=1h']);
  await step('a log since a time to come', ['logs', 'talker', '-c', 'other', '--since-time=2100-01-01T00:00:00Z']);
  await step('no log of an earlier run', [...logs, '-p']);
  await step('a log of a container that is not there', ['logs', 'talker', '-c', 'nope']);
  await step('a log of the first container', ['logs', 'talker', '--limit-bytes=5']);
  await step('the logs of all', ['logs', 'talker', '--all-containers', '--prefix', '--tail=0']);
  printed['a log that is followed'] = await following(session, [...logs, '-f', '--tail=1'], /tick\ntick\n/, 'tick\n');
  printed['an output that is attached to'] = await following(
    session,
    ['attach', 'talker', '-c', 'main'],
    /tick\ntick\n/,
    'tick\n',
  );

  printed['a tree goes in and comes back'] = await copyTree(session, podDir);
  await step('a copy of what is not there', ['cp', `talker:${join(podDir, 'nothing')}`, join(dir, 'nothing')]);
  printed['connections are forwarded, several at once'] = await forward(session);

  const debug = ['debug', 'talker', `--image=${image}`, '--image-pull-policy=IfNotPresent', '--profile=general'];
  await step('a container to look into a pod', [...debug, '-c', 'look', '--', 'sh', '-c', 'echo looking']);
  await untilTerminated(session, 'look');
  await step('what it has said', ['logs', 'talker', '-c', 'look']);
  await step('one for a container that is not there', [...debug, '-c', 'l2', '--target=nope', '--', 'true']);
  await step('a pod itself is not given one', [
    'patch',
    'pod',
    'talker',
    '-p',
    JSON.stringify({ spec: { ephemeralContainers: [{ name: 'x', image }] } }),
  ]);
  await step('a copy of a pod', [...debug, '--copy-to=copied', '--container=main', '--', 'sleep', '1000']);
  const wait = 'sleep 3; ';
  await step(
    'a container to look into a pod, on a terminal',
    [...debug, '-it', '-c', 'l3', '--', 'sh', '-c', `${wait}echo hi`],
    {
      tty: true,
    },
  );
  const made = (name: string) => [
    'run',
    name,
    '--rm',
    `--image=${image}`,
    '--image-pull-policy=IfNotPresent',
    '--restart=Never',
  ];
  await step(
    'a pod for one command reads its input to the end',
    [...made('r1'), '-i', '--', 'sh', '-c', `${wait}cat`],
    {
      input: 'typed\n',
    },
  );
  await step(
    'a pod for one command on a terminal',
    [...made('r2'), '-it', '--', 'sh', '-c', `${wait}stty size; exit 3`],
    {
      tty: true,
    },
  );
  await run(['delete', 'pod', 'talker', 'copied', '--now']);
  return printed;
}

function runKubectl(
  session: Session,
  args: string[],
  { input, tty = false }: { input?: string | Buffer; tty?: boolean },
): Promise<Printed> {
  const child = tty ? onTerminal(session, args) : start(session, args, input === undefined ? 'ignore' : 'pipe');
  // Typed when there is something to type to.
  if (tty && input !== undefined) setTimeout(() => child.stdin?.write(input), 2000);
  else if (input !== undefined) child.stdin?.end(input);
  return ended(child);
}

const start = ({ kubectl, environment }: Session, args: string[], stdin: 'ignore' | 'pipe'): ChildProcess =>
  spawn(kubectl, args, { env: environment, stdio: [stdin, 'pipe', 'pipe'] });

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

/** As somebody has it who sits at a terminal of 99 columns and 33 rows. */
function onTerminal({ kubectl, environment }: Session, args: string[]): ChildProcess {
  const command = `stty rows 33 cols 99; ${[kubectl, ...args].map(quoted).join(' ')}`;
  const env = { ...environment, SHELL: '/bin/sh' };
  return spawn('script', ['-qefc', command, '/dev/null'], { env, stdio: ['pipe', 'pipe', 'pipe'] });
}

function ended(child: ChildProcess): Promise<Printed> {
  const [stdout, stderr] = [gathered(child.stdout), gathered(child.stderr)];
  const late = setTimeout(() => child.kill('SIGKILL'), 60_000);
  return new Promise((resolve) => {
    child.once('close', (code) => {
      clearTimeout(late);
      resolve({ code, stdout: stdout(), stderr: stderr() });
    });
  });
}

function gathered(stream: ChildProcess['stdout']): () => string {
  const chunks: Buffer[] = [];
  stream?.on('data', (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString();
}

/** A kubectl that goes on until it has printed `pattern`; of what it printed, only that counts. */
async function following(session: Session, args: string[], pattern: RegExp, whole: string): Promise<Printed> {
  const child = start(session, args, 'ignore');
  const stdout = gathered(child.stdout);
  const end = ended(child);
  child.stdout?.on('data', () => {
    if (pattern.test(stdout())) child.kill('SIGTERM');
  });
  const { stderr, stdout: all } = await end;
  return { code: null, stdout: pattern.test(all) ? whole : all, stderr };
}

/** Numbers, times and the words of the OCI runtime are each cluster's own. */
function normal({ code, stdout, stderr }: Printed): Printed {
  const plain = (text: string) =>
    text
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
      .replaceAll(/(Internal error occurred: )+error executing command in container: .*(exec: "frobnicate")/g, '$1… $2')
      // tar is each image's own; what a Pod's change would have been is told in Go's words.
      .replaceAll(/^\S*tar: .*\n/gm, '')
      .replace(/\n@@ [\s\S]*/, '\n')
      .replaceAll(/(executable file not found in \$PATH)(: unknown)?/g, '$1');
  return { code, stdout: plain(stdout), stderr: plain(stderr) };
}

const sums = (folder: string): string =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return `${path.slice(folder.length + 1)} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`;
    })
    .sort()
    .join('\n');

/** A tree with a file of 200 MB: into the pod and back again. */
async function copyTree(session: Session, podDir: string): Promise<Printed> {
  const [there, back] = ['there', 'back'].map((name) => join(session.dir, name));
  mkdirSync(join(there as string, 'deep', 'er'), { recursive: true });
  const block = Buffer.alloc(1024 * 1024);
  for (let i = 0; i < block.length; i++) block[i] = (i * 2_654_435_761) >>> 24;
  writeFileSync(join(there as string, 'large'), Buffer.concat(Array.from({ length: 200 }, () => block)));
  writeFileSync(join(there as string, 'deep', 'er', 'small file'), 'small');
  writeFileSync(join(there as string, 'deep', 'empty'), '');
  const into = await runKubectl(session, ['cp', there as string, `talker:${join(podDir, 'tree')}`, '-c', 'main'], {});
  const from = await runKubectl(
    session,
    ['cp', `talker:${join(podDir, 'tree')}`, back as string, '-c', 'main', '--retries=3'],
    {},
  );
  const isSame = existsSync(back as string) && sums(there as string) === sums(back as string);
  for (const folder of [there, back]) rmSync(folder as string, { recursive: true, force: true });
  const { code } = into.code === 0 ? from : into;
  return normal({
    code,
    stdout: `${into.stdout}${from.stdout}same: ${isSame}`,
    stderr: `${into.stderr}${isSame ? '' : from.stderr}`,
  });
}

/** Some connections at once. */
async function forward(session: Session): Promise<Printed> {
  const child = start(session, ['port-forward', 'pod/talker', ':8080', '--address=127.0.0.1'], 'ignore');
  const stdout = gathered(child.stdout);
  const end = ended(child);
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout?.on('data', () => {
      const found = /127\.0\.0\.1:(\d+) ->/.exec(stdout())?.[1];
      if (found) resolve(Number(found));
    });
    child.once('exit', () => reject(new Error(`port-forward ended: ${stdout()}`)));
  });
  const said = await Promise.all(
    Array.from({ length: 4 }, async (_, i) => {
      const text = `${i} `.repeat(1 + i * 1000);
      const socket = connect({ port, host: '127.0.0.1' });
      socket.write(text);
      let answer = '';
      for await (const chunk of socket) {
        answer += chunk;
        if (answer.length >= text.length) break;
      }
      return answer === text;
    }),
  );
  child.kill('SIGTERM');
  const { stderr } = await end;
  const lines = stdout().replaceAll(String(port), 'PORT');
  return { code: null, stdout: `${lines}all came back: ${said.every(Boolean)}`, stderr };
}

async function untilTerminated(session: Session, name: string): Promise<void> {
  const path = `jsonpath={.status.ephemeralContainerStatuses[?(@.name=="${name}")].state.terminated.exitCode}`;
  for (let tries = 0; tries < 100; tries++) {
    const { stdout } = await runKubectl(session, ['get', 'pod', 'talker', '-o', path], {});
    if (stdout !== '') return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
