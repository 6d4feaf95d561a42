import type { Container, PodSpec } from '../../../../api/core/pod-spec.ts';
import type { PodSecurityContext, SecurityContext } from '../../../../api/core/security-context.ts';
import type { Checked } from '../checks.ts';

/** What `restricted` wants of every container. */
const held: SecurityContext = {
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' },
  capabilities: { drop: ['ALL'] },
};

const pod = (spec: Partial<PodSpec>, annotations: Record<string, string> = {}): Checked => ({
  annotations,
  spec: { containers: [{ name: 'c', image: 'i', securityContext: held }], ...spec },
});

/** A pod whose one container says this beside what `restricted` wants. */
const saying = (securityContext: SecurityContext, more: Partial<Container> = {}): Checked =>
  pod({ containers: [{ name: 'c', image: 'i', securityContext: { ...held, ...securityContext }, ...more }] });

/** The same in an init container, two others, and for the pod. */
const everywhere = (context: SecurityContext & PodSecurityContext): Checked =>
  pod({
    initContainers: [{ name: 'i', image: 'i', securityContext: { ...held, ...context } }],
    containers: ['c', 'd'].map((name) => ({ name, image: 'i', securityContext: { ...held, ...context } })),
    ephemeralContainers: [{ name: 'e', image: 'i', securityContext: held }],
    securityContext: context,
  });

const { allowPrivilegeEscalation: _, ...escalating } = held;
const { runAsNonRoot: __, ...anybody } = held;
const { seccompProfile: ___, ...unfiltered } = held;
const { capabilities: ____, ...capable } = held;
const only = (securityContext: SecurityContext): Checked =>
  pod({ containers: [{ name: 'c', image: 'i', securityContext }] });
const bare: Container = { name: 'c', image: 'i' };

const seccomp = 'seccomp.security.alpha.kubernetes.io';
const appArmor = 'container.apparmor.security.beta.kubernetes.io';

/** For each check pods that pass it and pods that fail it; what Kubernetes says of each is in `verdicts.json`. */
export const corpus: Readonly<Record<string, Checked>> = {
  'held to everything': pod({}),
  'says nothing': pod({ containers: [bare] }),
  'three that say nothing': pod({ containers: ['a', 'b', 'c'].map((name) => ({ name, image: 'i' })) }),
  'Windows that says nothing': pod({ containers: [bare], os: { name: 'windows' } }),
  'Linux that says nothing': pod({ containers: [bare], os: { name: 'linux' } }),

  'escalation not forbidden': only(escalating),
  'escalation allowed': saying({ allowPrivilegeEscalation: true }),
  'escalation allowed everywhere': everywhere({ allowPrivilegeEscalation: true }),

  'AppArmor of the runtime': everywhere({ appArmorProfile: { type: 'RuntimeDefault' } }),
  'AppArmor of the node': everywhere({ appArmorProfile: { type: 'Localhost', localhostProfile: 'x' } }),
  'AppArmor unconfined': saying({ appArmorProfile: { type: 'Unconfined' } }),
  'AppArmor unconfined everywhere': everywhere({ appArmorProfile: { type: 'Unconfined' } }),
  'AppArmor by annotation': pod({}, { [`${appArmor}/c`]: 'runtime/default', [`${appArmor}/d`]: 'localhost/x' }),
  'AppArmor unconfined by annotation': pod({}, { [`${appArmor}/c`]: 'unconfined', [`${appArmor}/b`]: 'bogus' }),
  'AppArmor unconfined both ways': {
    ...everywhere({ appArmorProfile: { type: 'Unconfined' } }),
    annotations: { [`${appArmor}/c`]: 'unconfined' },
  },

  'capabilities not dropped': only(capable),
  'capabilities of the default added': saying({ capabilities: { drop: ['ALL'], add: ['CHOWN', 'NET_BIND_SERVICE'] } }),
  'a capability for low ports': saying({ capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] } }),
  'capabilities beyond the default': saying({
    capabilities: { drop: ['ALL'], add: ['SYS_ADMIN', 'NET_ADMIN', 'CHOWN'] },
  }),
  'capabilities by the name of the kernel': saying({ capabilities: { add: ['CAP_CHOWN'], drop: ['all'] } }),
  'all capabilities everywhere': everywhere({ capabilities: { add: ['ALL'] } } as Container['securityContext'] &
    object),

  'network of the host': pod({ hostNetwork: true }),
  'all namespaces of the host': pod({ hostNetwork: true, hostPID: true, hostIPC: true }),
  'no namespace of the host': pod({ hostNetwork: false, hostPID: false, hostIPC: false }),
  'users of its own': pod({ containers: [bare], hostUsers: false }),

  'a path of the host': pod({ volumes: [{ name: 'v', hostPath: { path: '/' } }] }),
  'paths of the host': pod({
    volumes: ['v', 'w'].map((name) => ({ name, hostPath: { path: '/etc' } })).concat([{ name: 'x' } as never]),
  }),
  'volumes of the namespace': pod({
    volumes: [
      { name: 'a', configMap: { name: 'a' } },
      { name: 'b', csi: { driver: 'd' } },
      { name: 'c', downwardAPI: {} },
      { name: 'd', emptyDir: {} },
      { name: 'e', ephemeral: {} },
      { name: 'f', image: {} },
      { name: 'g', persistentVolumeClaim: { claimName: 'g' } },
      { name: 'h', projected: {} },
      { name: 'i', secret: { secretName: 'i' } },
    ],
  }),
  'a volume of another system': pod({ volumes: [{ name: 'n', nfs: { server: 's', path: '/' } }] }),
  'volumes of other systems': pod({
    volumes: [
      { name: 'n', nfs: { server: 's', path: '/' } },
      { name: 'o', rbd: { monitors: [], image: 'x' } },
      { name: 'p', nfs: { server: 's', path: '/' } },
      { name: 'q', gcePersistentDisk: { pdName: 'x' } },
      { name: 'r', scaleIO: { gateway: 'g', system: 's', secretRef: {} } },
    ],
  }),

  'a port of its own': saying({}, { ports: [{ containerPort: 80, hostPort: 0 }] }),
  'a port of the host': saying({}, { ports: [{ containerPort: 80, hostPort: 80 }] }),
  'ports of the host': pod({
    initContainers: [{ name: 'i', image: 'i', securityContext: held, ports: [{ containerPort: 9, hostPort: 9 }] }],
    containers: [
      {
        name: 'c',
        image: 'i',
        securityContext: held,
        ports: [80, 443].map((p) => ({ containerPort: p, hostPort: p })),
      },
      { name: 'd', image: 'i', securityContext: held, ports: [{ containerPort: 80, hostPort: 80 }] },
    ],
  }),

  'a probe of the pod': saying({}, { livenessProbe: { httpGet: { port: 80, host: '' } } }),
  'a probe of another': saying({}, { livenessProbe: { httpGet: { port: 80, host: '10.0.0.1' } } }),
  'probes and hooks of others': saying(
    {},
    {
      readinessProbe: { tcpSocket: { port: 80, host: 'b' } },
      startupProbe: { httpGet: { port: 80, host: 'a' } },
      lifecycle: { postStart: { httpGet: { port: 80, host: 'c' } }, preStop: { tcpSocket: { port: 80, host: 'a' } } },
    },
  ),

  'not privileged': saying({ privileged: false }),
  privileged: saying({ privileged: true, allowPrivilegeEscalation: true }),
  'privileged everywhere': everywhere({ privileged: true }),

  'proc as usual': saying({ procMount: 'Default' }),
  'proc unmasked': saying({ procMount: 'Unmasked' }),
  'proc unmasked, users of its own': pod({
    containers: [{ ...bare, securityContext: { ...held, procMount: 'Unmasked' } }],
    hostUsers: false,
  }),

  'SELinux types that are allowed': everywhere({ seLinuxOptions: { type: 'container_t', level: 's0' } }),
  'SELinux type of engines': saying({ seLinuxOptions: { type: 'container_engine_t' } }),
  'SELinux type that is not': saying({ seLinuxOptions: { type: 'spc_t' } }),
  'SELinux user and role': everywhere({ seLinuxOptions: { type: 'spc_t', user: 'u', role: 'r' } }),
  'SELinux user of the pod': pod({ securityContext: { seLinuxOptions: { user: 'u' } } }),

  'no seccomp profile': only(unfiltered),
  'seccomp profile of the pod': pod({
    containers: [{ ...bare, securityContext: unfiltered }],
    securityContext: { seccompProfile: { type: 'Localhost', localhostProfile: 'x' } },
  }),
  'seccomp unconfined': saying({ seccompProfile: { type: 'Unconfined' } }),
  'seccomp unconfined everywhere': everywhere({ seccompProfile: { type: 'Unconfined' } }),
  'seccomp by annotation': pod({}, { [`${seccomp}/pod`]: 'docker/default', [`container.${seccomp}/c`]: 'localhost/x' }),
  'seccomp unconfined by annotation': pod({}, { [`${seccomp}/pod`]: 'unconfined', [`container.${seccomp}/c`]: 'x' }),

  'sysctls that are safe': pod({
    securityContext: { sysctls: named('kernel.shm_rmid_forced', 'net.ipv4.tcp_syncookies') },
  }),
  'sysctls that became safe': pod({
    securityContext: {
      sysctls: named('net.ipv4.ip_local_reserved_ports', 'net.ipv4.tcp_keepalive_time', 'net.ipv4.tcp_rmem'),
    },
  }),
  'sysctls that are not': pod({ securityContext: { sysctls: named('kernel.msgmax', 'net.core.somaxconn') } }),
  'a safe sysctl with a slash': pod({ securityContext: { sysctls: named('net/ipv4/tcp_syncookies') } }),

  'process of a Windows host': everywhere({ windowsOptions: { hostProcess: true } }),
  'no process of a Windows host': everywhere({ windowsOptions: { hostProcess: false } }),

  'root not forbidden': only(anybody),
  'not root, says the pod': pod({
    containers: [{ ...bare, securityContext: anybody }],
    securityContext: { runAsNonRoot: true },
  }),
  'root, says a container': pod({
    containers: [{ ...bare, securityContext: { ...held, runAsNonRoot: false } }],
    securityContext: { runAsNonRoot: true },
  }),
  'root everywhere': everywhere({ runAsNonRoot: false, runAsUser: 0 }),
  'user 0': saying({ runAsUser: 0 }),
  'user 1000': everywhere({ runAsUser: 1000 }),
};

function named(...names: string[]) {
  return names.map((name) => ({ name, value: '1' }));
}
