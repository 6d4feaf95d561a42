import type { Pod } from '../../../api/core/pod.ts';
import { SecretKind } from '../../../api/core/secret.ts';
import { ServiceAccountKind } from '../../../api/core/service-account.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { Credentials } from '../../../registry/auth.ts';
import { credentialsFor, readDockerConfig } from '../../../registry/keyring.ts';
import { parseReference } from '../../../registry/reference.ts';
import type { NodeContext } from './node-context.ts';

/** The keys of the two types of Secret that are for pulling. */
const keyOf: Record<string, string> = {
  'kubernetes.io/dockerconfigjson': '.dockerconfigjson',
  'kubernetes.io/dockercfg': '.dockercfg',
};
/** A pod that names more is not looked at further. */
const secretsMax = 32;

/**
 * With which credentials to pull an image for a pod, in this order: those of its `imagePullSecrets`, or of its
 * ServiceAccount's when it names none, then those of the machine. A Secret that cannot be had is left out, and an event
 * says so.
 */
export async function pullCredentials(node: NodeContext, pod: Pod, image: string): Promise<Credentials[]> {
  const { client, events, log, machineCredentials } = node;
  const reference = parseReference(image);
  const namespace = pod.metadata.namespace ?? 'default';
  const missing: string[] = [];
  const found: Credentials[] = [];
  for (const { name = '' } of (await secretsOf(node, pod)).slice(0, secretsMax)) {
    if (name === '') continue;
    try {
      const secret = await client.get(SecretKind, { namespace, name });
      if (!secret) throw new Error('there is no such Secret');
      const { type = '', data = {} } = secret;
      const key = keyOf[type];
      const text = key === undefined ? undefined : data[key];
      if (text === undefined) continue; // Of another type: it has nothing to say here.
      found.push(...credentialsFor(readDockerConfig(Buffer.from(text, 'base64').toString('utf8')), reference));
    } catch (error) {
      log.warn({ pod: pod.metadata.name, secret: name, reason: messageOf(error) }, 'no credentials from a Secret');
      missing.push(name);
    }
  }
  if (missing.length > 0) {
    const which = `Unable to retrieve some image pull secrets (${missing.join(', ')})`;
    const message = `${which}; attempting to pull the image may not succeed.`;
    events.record(pod, 'Warning', 'FailedToRetrieveImagePullSecret', message);
  }
  const ofMachine = machineCredentials?.(reference).catch((error: unknown) => {
    log.warn({ reason: messageOf(error) }, "the machine's own credentials cannot be had");
    return [];
  });
  return [...found, ...((await ofMachine) ?? [])];
}

/** Kubernetes copies a ServiceAccount's into pods that have none when they are created; here they are looked up. */
async function secretsOf({ client, log }: NodeContext, pod: Pod): Promise<readonly { name?: string }[]> {
  const { imagePullSecrets = [], serviceAccountName = 'default' } = pod.spec;
  if (imagePullSecrets.length > 0) return imagePullSecrets;
  const namespace = pod.metadata.namespace ?? 'default';
  try {
    const account = await client.get(ServiceAccountKind, { namespace, name: serviceAccountName });
    return account?.imagePullSecrets ?? [];
  } catch (error) {
    log.warn({ serviceAccount: serviceAccountName, reason: messageOf(error) }, 'no credentials from a ServiceAccount');
    return [];
  }
}
