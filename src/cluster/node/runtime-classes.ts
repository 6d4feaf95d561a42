import { apiVersionOf } from '../../api/kind.ts';
import { type RuntimeClass, RuntimeClassKind } from '../../api/node/runtime-class.ts';
import { isAlreadyExists } from '../../api/status.ts';
import type { Client } from '../../kube/client.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../observe/log.ts';

/**
 * Makes the RuntimeClasses of the node's ways to run pods, each by its own name, if they are not there: they are also
 * there for what this machine lacks, so that a pod that asks for it is told. Never rejects.
 */
export async function registerRuntimeClasses(client: Client, names: readonly string[], log: Logger): Promise<void> {
  for (const name of names) {
    const wanted: RuntimeClass = {
      apiVersion: apiVersionOf(RuntimeClassKind),
      kind: RuntimeClassKind.kind,
      metadata: { name },
      handler: name,
    };
    try {
      if (!(await client.get(RuntimeClassKind, { name }))) await client.create(RuntimeClassKind, wanted);
    } catch (error) {
      if (isAlreadyExists(error)) continue;
      log.warn({ runtimeClass: name, reason: messageOf(error) }, 'a RuntimeClass could not be made: at the next start');
    }
  }
}
