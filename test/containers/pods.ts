/** Pods as tests write them: a script in Debian, with what it needs beside it. */

import type { Pod } from '../../src/api/core/pod.ts';
import type { Container } from '../../src/api/core/pod-spec.ts';
import type { Program } from './programs.ts';

export const debian = 'registry.localhost/debian:test';

/** A container; its image is Debian unless it says so. */
export type ContainerInput = Partial<Container> & { name?: string };

export function podOf(name: string, { beside = [], check, more = {}, pod = {} }: Program): Pod {
  const main = { name: 'check', image: debian, command: ['sh', '-c', check, 'check'], ...more };
  const sidecars = beside.map((each) => ({ image: debian, restartPolicy: 'Always', ...each }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 5,
      ...(sidecars.length > 0 && { initContainers: sidecars }),
      containers: [main],
      ...pod,
    },
  } as Pod;
}
