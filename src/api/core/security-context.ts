import { atomicList, boolean, integer, object, string, type ValueOf } from '../schema.ts';

/** Who processes of a pod are, and what the kernel lets them do: core/v1's security contexts. */

const id = integer({ format: 'int64' });

const seLinuxOptionsSchema = object({ user: string(), role: string(), type: string(), level: string() });

const windowsOptionsSchema = object({
  gmsaCredentialSpecName: string(),
  gmsaCredentialSpec: string(),
  runAsUserName: string(),
  hostProcess: boolean({ description: 'Whether the container runs as a process of the Windows host itself.' }),
});

export interface WindowsOptions extends ValueOf<typeof windowsOptionsSchema> {}

/** Which types there are is a rule beyond the schema, as Kubernetes says them in its own words. */
const profileSchema = object(
  {
    type: string({ description: 'Localhost, RuntimeDefault or Unconfined.' }),
    localhostProfile: string({ description: 'The profile of the node, where type is Localhost.' }),
  },
  { present: ['type'] },
);

export interface SecurityProfile extends ValueOf<typeof profileSchema> {}

/** What containers and pods can both say. */
const commonFields = {
  runAsUser: id,
  runAsGroup: id,
  runAsNonRoot: boolean({ description: 'Whether a container that would run as user 0 is refused.' }),
  seccompProfile: profileSchema,
  appArmorProfile: profileSchema,
  seLinuxOptions: seLinuxOptionsSchema,
  windowsOptions: windowsOptionsSchema,
};

const capabilitiesSchema = object({
  add: atomicList(string(), { description: 'Capabilities besides the default ones, without CAP_: NET_ADMIN.' }),
  drop: atomicList(string(), { description: 'Default capabilities to do without; ALL drops all of them.' }),
});

export const securityContextSchema = object({
  ...commonFields,
  privileged: boolean({ description: 'Whether the container is in essence root on its node.' }),
  readOnlyRootFilesystem: boolean(),
  allowPrivilegeEscalation: boolean({ description: 'Whether a process may gain more rights than its parent has.' }),
  capabilities: capabilitiesSchema,
  procMount: string({ description: 'Default, or Unmasked: then /proc shows and allows everything.' }),
});

export interface SecurityContext extends ValueOf<typeof securityContextSchema> {}

export const podSecurityContextSchema = object({
  ...commonFields,
  supplementalGroups: atomicList(id),
  supplementalGroupsPolicy: string({ description: 'Merge, or Strict: groups of the image do not count.' }),
  fsGroup: id,
  fsGroupChangePolicy: string({ description: 'Always or OnRootMismatch.' }),
  sysctls: atomicList(object({ name: string(), value: string() }, { required: ['name', 'value'] })),
  seLinuxChangePolicy: string({ description: 'Recursive or MountOption.' }),
});

export interface PodSecurityContext extends ValueOf<typeof podSecurityContextSchema> {}
