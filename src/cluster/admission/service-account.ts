import { type Pod, PodKind } from '../../api/core/pod.ts';
import type { Volume } from '../../api/core/pod-spec.ts';
import {
  isTokenVolume,
  type ServiceAccount,
  ServiceAccountKind,
  serviceAccountPath,
  tokenVolumeName,
} from '../../api/core/service-account.ts';
import { forbidden } from '../../api/status.ts';
import type { Admission } from '../../kube/admission.ts';
import type { Client } from '../../kube/client.ts';
import type { Clock } from '../../lib/clock.ts';

/** An hour, and by how much Kubernetes marks the tokens that nobody asked for by hand. */
const tokenSeconds = 3607;

/** The account `default` of a namespace that was just made may be on its way: so often, so long it is waited for. */
const lookups = 10;
const lookupPauseMs = 150;

/**
 * Gives each new pod its ServiceAccount, the account's pull secrets, and the volume with its token, as Kubernetes'
 * plugin of this name does. `client` is asked at each pod.
 */
export function serviceAccountAdmission(client: () => Client, clock: Clock): Admission<Pod> {
  return {
    name: 'ServiceAccount',
    kinds: [PodKind],
    async mutate({ namespace = 'default', object: pod, operation }) {
      if (operation !== 'CREATE') return;
      const { spec } = pod;
      spec.serviceAccountName ||= 'default';
      spec.serviceAccount = spec.serviceAccountName;
      const account = await accountOf(spec.serviceAccountName, namespace, client(), clock);
      if (!account) throw notThere(pod, namespace, spec.serviceAccountName);
      if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(pod);
      if (!spec.imagePullSecrets?.length && account.imagePullSecrets?.length) {
        spec.imagePullSecrets = account.imagePullSecrets.map(({ name }) => ({ name }));
      }
    },
  };
}

async function accountOf(
  name: string,
  namespace: string,
  client: Client,
  clock: Clock,
): Promise<ServiceAccount | undefined> {
  for (let lookup = 1; ; lookup++) {
    const account = await client.get(ServiceAccountKind, { namespace, name });
    if (account || name !== 'default' || lookup === lookups) return account;
    await new Promise<void>((resolve) => clock.after(lookupPauseMs, resolve));
  }
}

function notThere({ metadata }: Pod, namespace: string, account: string) {
  const why = `serviceaccount ${JSON.stringify(account)} not found`;
  return forbidden(PodKind, metadata.name ?? '', `error looking up service account ${namespace}/${account}: ${why}`);
}

/** Into each container that has nothing else at the path; from the pod's own volume of the name, if it has one. */
function mountToken(pod: Pod): void {
  const { spec } = pod;
  spec.volumes ??= [];
  const given = spec.volumes.find(({ name }) => isTokenVolume(name));
  const name = given?.name ?? tokenVolumeName(pod.metadata.uid ?? '');
  let isUsed = false;
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    container.volumeMounts ??= [];
    if (container.volumeMounts.some(({ mountPath }) => mountPath === serviceAccountPath)) continue;
    container.volumeMounts.push({ name, readOnly: true, mountPath: serviceAccountPath });
    isUsed = true;
  }
  if (isUsed && !given) spec.volumes.push(tokenVolume(name));
}

const tokenVolume = (name: string): Volume => ({
  name,
  projected: {
    defaultMode: 0o644,
    sources: [
      { serviceAccountToken: { expirationSeconds: tokenSeconds, path: 'token' } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      {
        downwardAPI: {
          items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
        },
      },
    ],
  },
});
