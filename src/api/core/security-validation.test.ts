import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container } from './container.ts';
import type { PodSpec } from './pod-spec.ts';
import { validateSecurity } from './security-validation.ts';

const saidOf = (spec: Partial<PodSpec>) =>
  validateSecurity({ containers: [{ name: 'c', image: 'i' }], ...spec }, 'spec').map(
    ({ field, message }) => `${field}: ${message}`,
  );
const ofContainer = (securityContext: Container['securityContext'], spec: Partial<PodSpec> = {}) =>
  saidOf({ containers: [{ name: 'c', image: 'i', ...(securityContext && { securityContext }) }], ...spec });

const context = 'spec.containers[0].securityContext';

test('what makes sense is not spoken of', () => {
  assert.deepEqual(saidOf({}), []);
  assert.deepEqual(
    ofContainer({
      runAsUser: 0,
      runAsGroup: 2 ** 31 - 1,
      runAsNonRoot: false,
      privileged: true,
      allowPrivilegeEscalation: true,
      readOnlyRootFilesystem: true,
      capabilities: { add: ['SYS_ADMIN'], drop: ['ALL'] },
      procMount: 'Default',
      seccompProfile: { type: 'Localhost', localhostProfile: 'profiles/audit.json' },
      appArmorProfile: { type: 'Localhost', localhostProfile: 'k8s-nginx' },
      seLinuxOptions: { level: 's0:c123,c456' },
    }),
    [],
  );
  assert.deepEqual(
    saidOf({
      hostUsers: false,
      os: { name: 'linux' },
      securityContext: {
        fsGroup: 0,
        fsGroupChangePolicy: 'OnRootMismatch',
        supplementalGroups: [0, 1000],
        supplementalGroupsPolicy: 'Strict',
        seLinuxChangePolicy: 'Recursive',
        sysctls: [
          { name: 'net.ipv4.ip_unprivileged_port_start', value: '0' },
          { name: 'kernel/shm_rmid_forced', value: '1' },
        ],
      },
      containers: [{ name: 'c', image: 'i', securityContext: { procMount: 'Unmasked' } }],
    }),
    [],
  );
});

test('what is wrong with a container is said in the words of Kubernetes', () => {
  const table: [Container['securityContext'], string][] = [
    [{ runAsUser: -1 }, `${context}.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive`],
    [
      { runAsGroup: 2 ** 31 },
      `${context}.runAsGroup: Invalid value: 2147483648: must be between 0 and 2147483647, inclusive`,
    ],
    [{ procMount: 'No' }, `${context}.procMount: Unsupported value: "No": supported values: "Default", "Unmasked"`],
    [
      { procMount: 'Unmasked' },
      `${context}.procMount: Invalid value: "Unmasked": \`hostUsers\` must be false to use \`Unmasked\``,
    ],
    [
      { privileged: true, allowPrivilegeEscalation: false },
      `${context}: Invalid value: {"privileged":true,"allowPrivilegeEscalation":false}: ` +
        'cannot set `allowPrivilegeEscalation` to false and `privileged` to true',
    ],
    [
      { capabilities: { add: ['CAP_SYS_ADMIN'] }, allowPrivilegeEscalation: false },
      `${context}: Invalid value: {"capabilities":{"add":["CAP_SYS_ADMIN"]},"allowPrivilegeEscalation":false}: ` +
        'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN',
    ],
    [
      { seccompProfile: { type: '' } },
      `${context}.seccompProfile.type: Required value: type is required when seccompProfile is set`,
    ],
    [
      { seccompProfile: { type: 'Mine' } },
      `${context}.seccompProfile.type: Unsupported value: "Mine": supported values: ` +
        '"Localhost", "RuntimeDefault", "Unconfined"',
    ],
    [
      { seccompProfile: { type: 'Localhost' } },
      `${context}.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost`,
    ],
    [
      { seccompProfile: { type: 'Localhost', localhostProfile: '/etc/x' } },
      `${context}.seccompProfile.localhostProfile: Invalid value: "/etc/x": must be a relative path`,
    ],
    [
      { seccompProfile: { type: 'Localhost', localhostProfile: 'a/../../x' } },
      `${context}.seccompProfile.localhostProfile: Invalid value: "a/../../x": must not contain '..'`,
    ],
    [
      { seccompProfile: { type: 'Unconfined', localhostProfile: 'x' } },
      `${context}.seccompProfile.localhostProfile: Invalid value: {"type":"Unconfined","localhostProfile":"x"}: ` +
        'can only be set when seccomp type is Localhost',
    ],
    [
      { appArmorProfile: { type: '' } },
      `${context}.appArmorProfile.type: Required value: type is required when appArmorProfile is set`,
    ],
    [
      { appArmorProfile: { type: 'Localhost' } },
      `${context}.appArmorProfile.localhostProfile: Required value: must be set when AppArmor type is Localhost`,
    ],
    [
      { appArmorProfile: { type: 'Localhost', localhostProfile: ' x' } },
      `${context}.appArmorProfile.localhostProfile: Invalid value: " x": must not be padded with whitespace`,
    ],
    [
      { appArmorProfile: { type: 'Localhost', localhostProfile: 'x'.repeat(4096) } },
      `${context}.appArmorProfile.localhostProfile: Too long: may not be more than 4095 bytes`,
    ],
    [
      { appArmorProfile: { type: 'RuntimeDefault', localhostProfile: 'x' } },
      `${context}.appArmorProfile.localhostProfile: Invalid value: "x": ` +
        'can only be set when AppArmor type is Localhost',
    ],
    [
      { windowsOptions: { gmsaCredentialSpec: '' } },
      `${context}.windowsOptions.gmsaCredentialSpec: Invalid value: "": gmsaCredentialSpec cannot be an empty string`,
    ],
    [
      { windowsOptions: { runAsUserName: 'a\\b\\c' } },
      `${context}.windowsOptions.runAsUserName: Invalid value: "a\\\\b\\\\c": ` +
        'runAsUserName cannot contain more than one backslash',
    ],
    [
      { windowsOptions: { runAsUserName: '...' } },
      `${context}.windowsOptions.runAsUserName: Invalid value: "...": ` +
        "runAsUserName's User cannot contain only periods or spaces",
    ],
  ];
  for (const [given, expected] of table) assert.deepEqual(ofContainer(given), [expected]);
});

test('what is wrong with a pod is said in the words of Kubernetes', () => {
  const table: [Partial<PodSpec>, string[]][] = [
    [
      { securityContext: { fsGroup: -1, supplementalGroups: [1, -2] } },
      [
        'spec.securityContext.fsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive',
        'spec.securityContext.supplementalGroups[1]: Invalid value: -2: must be between 0 and 2147483647, inclusive',
      ],
    ],
    [
      { hostPID: true, shareProcessNamespace: true, securityContext: {} },
      [
        'spec.securityContext.shareProcessNamespace: Invalid value: true: ' +
          'ShareProcessNamespace and HostPID cannot both be enabled',
      ],
    ],
    [
      { securityContext: { fsGroupChangePolicy: 'Never' } },
      [
        'spec.securityContext.fsGroupChangePolicy: Unsupported value: "Never": ' +
          'supported values: "Always", "OnRootMismatch"',
      ],
    ],
    [
      { securityContext: { supplementalGroupsPolicy: 'None' } },
      ['spec.securityContext.supplementalGroupsPolicy: Unsupported value: "None": supported values: "Merge", "Strict"'],
    ],
    [
      {
        hostNetwork: true,
        hostIPC: true,
        securityContext: { sysctls: named('net.core.x', 'fs.mqueue.y', 'kernel.z') },
      },
      [
        'spec.securityContext.sysctls[0].name: Invalid value: "net.core.x": ' +
          "may not be specified when 'hostNetwork' is true",
        'spec.securityContext.sysctls[1].name: Invalid value: "fs.mqueue.y": ' +
          "may not be specified when 'hostIPC' is true",
      ],
    ],
    [
      { securityContext: { sysctls: named('', 'A', 'kernel.sem', 'kernel.sem') } },
      [
        'spec.securityContext.sysctls[0].name: Required value: required',
        'spec.securityContext.sysctls[1].name: Invalid value: "A": must have at most 253 characters and match regex ' +
          '^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$',
        'spec.securityContext.sysctls[3].name: Duplicate value: "kernel.sem"',
      ],
    ],
    [
      { hostUsers: false, hostNetwork: true, hostPID: true, hostIPC: true },
      [
        'spec.hostNetwork: Forbidden: when `hostUsers` is false',
        'spec.HostPID: Forbidden: when `hostUsers` is false',
        'spec.HostIPC: Forbidden: when `hostUsers` is false',
      ],
    ],
    [
      { hostNetwork: true, containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80, hostPort: 81 }] }] },
      [
        'spec.containers[0].ports[0].hostPort: Invalid value: 81: ' +
          'must match `containerPort` when `hostNetwork` is true',
      ],
    ],
    [
      { securityContext: { windowsOptions: { hostProcess: true } } },
      ['spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers'],
    ],
    [{ os: { name: 'plan9' } }, ['spec.os: Unsupported value: "plan9": supported values: "linux", "windows"']],
    [
      { os: { name: 'linux' }, securityContext: { windowsOptions: {} } },
      ['spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod'],
    ],
    [
      { os: { name: 'windows' }, hostPID: true, securityContext: { runAsUser: 1, sysctls: [] } },
      [
        'spec.hostPID: Forbidden: cannot be set for a windows pod',
        'spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod',
      ],
    ],
  ];
  for (const [given, expected] of table) assert.deepEqual(saidOf(given), expected);
});

const named = (...names: string[]) => names.map((name) => ({ name, value: '1' }));
