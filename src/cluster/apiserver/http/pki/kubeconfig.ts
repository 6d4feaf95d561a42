import { toYaml } from '../../../../lib/yaml.ts';
import type { Identity } from './certificate.ts';

export interface KubeconfigOptions {
  /** For example `https://127.0.0.1:7443`. */
  server: string;
  ca: string;
  user: string;
  identity: Identity;
}

/** The text of a kubeconfig file with everything embedded, so that it can be copied anywhere. */
export function kubeconfig({ server, ca, user, identity }: KubeconfigOptions): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return toYaml({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'kittiwake', cluster: { server, 'certificate-authority-data': base64(ca) } }],
    users: [
      {
        name: user,
        user: { 'client-certificate-data': base64(identity.cert), 'client-key-data': base64(identity.key) },
      },
    ],
    contexts: [{ name: 'kittiwake', context: { cluster: 'kittiwake', user, namespace: 'default' } }],
    'current-context': 'kittiwake',
  });
}
