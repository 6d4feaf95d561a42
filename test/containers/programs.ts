/**
 * Well-known kinds of program, each as a pod that runs to its end: what is judged is whether it succeeds. Servers run
 * beside the container that asks them, as sidecars do.
 */
import type { ContainerInput } from './pods.ts';

export interface Program {
  /** What runs beside `check`, and is ended after it. */
  beside?: readonly ContainerInput[];
  /** A shell script: the program, or whoever asks it. */
  check: string;
  more?: Partial<ContainerInput>;
  /** What its log must be. */
  logs?: string;
  /** Fields of the pod's spec. */
  pod?: object;
}

const shared = { name: 'shared', mountPath: '/shared' };
const sharedVolume = { volumes: [{ name: 'shared', emptyDir: {} }] };
const asUser = (runAsUser: number, more: object = {}) => ({ securityContext: { runAsUser, ...more } });
/** Until the command succeeds: servers take a moment. */
export const until = (command: string) => `for i in $(seq 300); do ${command} && exit 0; sleep 0.1; done; exit 1`;

const python = {
  unixServer: `import socket as s
a = s.socket(s.AF_UNIX); a.bind("/shared/s"); a.listen()
while 1: a.accept()[0].send(b"hi")`,
  unixAsk: 'import socket as s; a = s.socket(s.AF_UNIX); a.connect("/shared/s"); assert a.recv(2) == b"hi"',
  udpEcho: `import socket as s
a = s.socket(s.AF_INET, s.SOCK_DGRAM); a.bind(("", 5353))
while 1: a.sendto(*a.recvfrom(9))`,
  udpAsk: `import socket as s, os
a = s.socket(s.AF_INET, s.SOCK_DGRAM); a.settimeout(1)
a.sendto(b"x", (os.environ["IP"], 5353)); assert a.recv(9) == b"x"`,
};

export const programs: Record<string, Program> = {
  'nginx, on its fixed port': {
    beside: [{ name: 'nginx', command: ['nginx', '-g', 'daemon off;'] }],
    check: until('curl -fsS http://127.0.0.1:80/ | grep -q "Welcome to nginx"'),
  },
  Redis: {
    beside: [{ name: 'redis', command: ['redis-server', '--save', '', '--protected-mode', 'no'] }],
    check: until('redis-cli set greeting hello && redis-cli get greeting | grep -q hello'),
  },
  'PostgreSQL, as its own user': {
    beside: [
      {
        name: 'postgres',
        command: ['su', 'postgres', '-c'],
        args: ['cd /tmp; PATH=/usr/lib/postgresql/15/bin:$PATH; initdb -D pg && exec postgres -D pg -k /tmp'],
      },
    ],
    check: until('psql -h 127.0.0.1 -U postgres -Atc "select 6 * 7" | grep -qx 42'),
  },
  'a JVM, which sees the limit of its memory': {
    check: 'java -XshowSettings:system -version 2>&1 | tee /dev/stderr | grep -q "Memory Limit: 256.00M"',
    more: { resources: { limits: { memory: '256Mi' } } },
  },
  'Python, as a server': {
    beside: [{ name: 'python', command: ['python3', '-m', 'http.server', '8080'] }],
    check: until('curl -fsS http://127.0.0.1:8080/etc/hostname | grep -qx "$(hostname)"'),
  },
  'a static program in an image of nothing else': {
    check: 'unused',
    more: { image: 'registry.localhost/static:test', command: ['/busybox', 'sh', '-c', 'test ! -e /bin'] },
  },
  'one that wants a terminal': {
    check: 'tty && test -t 0 && test -t 1 && test "$(stty size)" != ""',
    more: { stdin: true, tty: true },
  },
  'one that reads its input to the end': { check: 'test "$(cat | wc -c)" = 0' },
  'one that leaves a hundred zombies, and none of them stays': {
    check: `exec python3 -c '
import os, time
for i in range(100):
    if os.fork() == 0: os._exit(0)
time.sleep(0.2)
'`,
  },
  'one that goes to the background, and goes on there': {
    check: '(setsid sh -c "sleep 0.2; echo done > /tmp/done" &) ; sleep 1; test -s /tmp/done',
  },
  'a setuid helper': { check: 'test "$(setuid-id -u)" = 0', more: asUser(1000) },
  'a setuid helper that may not have more rights': {
    check: 'test "$(setuid-id -u)" = 1000',
    more: asUser(1000, { allowPrivilegeEscalation: false }),
  },
  'a program with a capability in its file': {
    check: '! cat /etc/shadow 2>/dev/null && trusted-cat /etc/shadow | grep -q ^root:',
    more: asUser(1000),
  },
  'a user that the image does not know': { check: 'test "$(id -u):$(id -g)" = 4711:0', more: asUser(4711) },
  'one that opens /dev/stdout by name, as nobody': {
    check: 'echo before; echo one > /dev/stdout; echo after',
    logs: 'before\none\nafter\n',
    more: asUser(65534),
  },
  'a root file system that is read-only': {
    check: '! touch /x 2>/dev/null && touch /shared/x',
    more: { securityContext: { readOnlyRootFilesystem: true }, volumeMounts: [shared] },
    pod: sharedVolume,
  },
  'shared memory, also between containers': {
    beside: [{ name: 'writer', command: ['sh', '-c', 'head -c 10000000 /dev/zero > /dev/shm/x; exec sleep 1000'] }],
    check: until('test "$(stat -c %s /dev/shm/x)" = 10000000'),
  },
  'a socket of the file system, between containers': {
    beside: [
      {
        name: 'server',
        command: ['python3', '-c'],
        args: [python.unixServer],
        volumeMounts: [shared],
      },
    ],
    check: until(`python3 -c '${python.unixAsk}'`),
    more: { volumeMounts: [shared] },
    pod: sharedVolume,
  },
  'UDP, on an address of the pod': {
    beside: [
      {
        name: 'server',
        command: ['python3', '-c'],
        args: [python.udpEcho],
      },
    ],
    check: until(`python3 -c '${python.udpAsk}'`),
    more: { env: [{ name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }] },
  },
  'a hundred kilobytes of arguments and as many of environment': {
    check: 'test "$(printf %s "$1" | wc -c)" = 100000 && test "$(printf %s "$BIG" | wc -c)" = 100000',
    more: { args: ['x'.repeat(100_000)], env: [{ name: 'BIG', value: 'y'.repeat(100_000) }] },
  },
  'one that asks who it is, and for names of the cluster': {
    check: 'test "$(hostname)" = "$NAME" && getent hosts "$NAME" && getent hosts kubernetes.default.svc.cluster.local',
    more: { env: [{ name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }] },
  },
  'one that asks the API who it is': {
    check: [
      'cd /var/run/secrets/kubernetes.io/serviceaccount',
      'answer=$(curl -fsS --cacert ca.crt -H "Authorization: Bearer $(cat token)" https://kubernetes.default.svc/api)',
      'echo "$answer" | grep -q APIVersions',
    ].join(' && '),
  },
};
