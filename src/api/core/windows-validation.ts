import { type FieldError, fieldForbidden, fieldInvalid } from '../field-error.ts';
import { dnsSubdomainFaults } from '../names.ts';
import { eachContainer } from './each-container.ts';
import type { PodSpec } from './pod-spec.ts';
import type { WindowsOptions } from './security-context.ts';

/** What Windows alone knows. No node of ours runs it, but templates for it are valid objects. */

const specKiBMax = 64;
const domainLengthMax = 256;
const userLengthMax = 104;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what may not be there.
const controlCharacters = /[\x00-\x1f\x7f]/;
const netBiosDomain = /^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$/;
const dnsDomain = /^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$/;

export function validateWindowsOptions(options: WindowsOptions | undefined, at: string): FieldError[] {
  const { gmsaCredentialSpec: spec, gmsaCredentialSpecName: name, runAsUserName: user } = options ?? {};
  const errors: FieldError[] = [];
  if (name !== undefined) {
    errors.push(...dnsSubdomainFaults(name).map((why) => fieldInvalid(`${at}.gmsaCredentialSpecName`, name, why)));
  }
  if (spec !== undefined) errors.push(...validateSpec(spec, `${at}.gmsaCredentialSpec`));
  if (user !== undefined) {
    errors.push(...userFaults(user).map((why) => fieldInvalid(`${at}.runAsUserName`, user, `runAsUserName${why}`)));
  }
  return errors;
}

function validateSpec(spec: string, at: string): FieldError[] {
  if (spec === '') return [fieldInvalid(at, spec, 'gmsaCredentialSpec cannot be an empty string')];
  if (Buffer.byteLength(spec) <= specKiBMax * 1024) return [];
  return [fieldInvalid(at, spec, `gmsaCredentialSpec size must be under ${specKiBMax} KiB`)];
}

/** `DOMAIN\USER` or `USER`. */
function userFaults(name: string): string[] {
  if (name === '') return [' cannot be an empty string'];
  if (controlCharacters.test(name)) return [' cannot contain control characters'];
  const parts = name.split('\\');
  if (parts.length > 2) return [' cannot contain more than one backslash'];
  const [user = '', domain] = parts.toReversed();
  const faults: string[] = [];
  if (domain !== undefined && domain.length >= domainLengthMax) {
    faults.push(`'s Domain length must be under ${domainLengthMax} characters`);
  }
  if (domain !== undefined && !netBiosDomain.test(domain) && !dnsDomain.test(domain)) {
    faults.push("'s Domain doesn't match the NetBios nor the DNS format");
  }
  if (user === '') faults.push("'s User cannot be empty");
  else if (user.length > userLengthMax) {
    faults.push(`'s User length must not be longer than ${userLengthMax} characters`);
  }
  if (/^[. ]+$/.test(user)) faults.push("'s User cannot contain only periods or spaces");
  if (/["/\\:;|=,+*?<>@[\]]/.test(user)) {
    faults.push(`'s User cannot contain the following characters: "/\\:;|=,+*?<>@[]`);
  }
  return faults;
}

/** All containers of a pod are processes of the host, or none is; and those share its network. */
export function validateHostProcess(spec: PodSpec, at: string): FieldError[] {
  const ofPod = spec.securityContext?.windowsOptions?.hostProcess;
  let containers = 0;
  let hostProcesses = 0;
  const errors = eachContainer(spec, at, ({ securityContext }, path) => {
    containers++;
    const own = securityContext?.windowsOptions?.hostProcess;
    if (own ?? ofPod) hostProcesses++;
    if (ofPod === undefined || own === undefined || own === ofPod) return [];
    const remedy = `pod hostProcess value must be identical if both are specified, was ${ofPod}`;
    return [fieldInvalid(`${path}.securityContext.windowsOptions.hostProcess`, own, remedy)];
  });
  if (hostProcesses === 0) return errors;
  if (hostProcesses !== containers) {
    const remedy = 'If pod contains any hostProcess containers then all containers must be HostProcess containers';
    errors.push(fieldInvalid(at, '', remedy));
  }
  if (!spec.hostNetwork) {
    const remedy = 'hostNetwork must be true if pod contains any hostProcess containers';
    errors.push(fieldInvalid(`${at}.hostNetwork`, false, remedy));
  }
  return errors;
}

const ofPodSpec = ['hostUsers', 'shareProcessNamespace'] as const;
const ofPodContext = [
  ...(['appArmorProfile', 'seLinuxOptions', 'seccompProfile', 'fsGroup', 'fsGroupChangePolicy', 'sysctls'] as const),
  ...(['runAsUser', 'runAsGroup', 'supplementalGroups', 'supplementalGroupsPolicy', 'seLinuxChangePolicy'] as const),
];
const ofContainerContext = [
  ...(['appArmorProfile', 'seLinuxOptions', 'seccompProfile', 'capabilities', 'readOnlyRootFilesystem'] as const),
  ...(['privileged', 'allowPrivilegeEscalation', 'procMount', 'runAsUser', 'runAsGroup'] as const),
];

/** A pod for Windows says nothing that only Linux knows. */
export function validateWindowsPod(spec: PodSpec, at: string): FieldError[] {
  const forbidden = (path: string) => fieldForbidden(path, 'cannot be set for a windows pod');
  const { securityContext = {} } = spec;
  return [
    ...ofPodSpec.filter((field) => spec[field] !== undefined).map((field) => forbidden(`${at}.${field}`)),
    ...(['hostPID', 'hostIPC'] as const).filter((field) => spec[field]).map((field) => forbidden(`${at}.${field}`)),
    ...ofPodContext
      .filter((field) => isGiven(securityContext[field]))
      .map((field) => forbidden(`${at}.securityContext.${field}`)),
    ...eachContainer(spec, at, ({ securityContext: own = {} }, path) =>
      ofContainerContext
        .filter((field) => own[field] !== undefined)
        .map((field) => forbidden(`${path}.securityContext.${field}`)),
    ),
  ];
}

const isGiven = (value: unknown): boolean => value !== undefined && !(Array.isArray(value) && value.length === 0);
