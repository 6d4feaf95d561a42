import type { Container, PodSpec } from '../../../../../api/core/pod-spec.ts';
import type { ContainerOnNode } from '../../../driver.ts';
import { allCapabilities } from '../spec/capabilities.ts';
import type { NodeMachine } from '../spec/machine.ts';
import type { SpecInput } from '../spec/runtime-spec.ts';

export const bigMachine: NodeMachine = {
  architecture: 'x64',
  kernel: '6.1.0-13-amd64',
  capabilities: allCapabilities,
  memoryBytes: 16 * 2 ** 30,
  oomScoreAdj: 0,
  isRootless: false,
  thermalPaths: [],
  cgroupVersion: 2,
  hasSwapLimit: true,
};

export interface Said {
  container?: Partial<Container>;
  pod?: Partial<PodSpec>;
  onNode?: Partial<ContainerOnNode>;
  input?: Partial<SpecInput>;
}

/** What the driver has when it starts the container `main` of the pod `shop`. */
export function specInput({ container, pod, onNode, input }: Said = {}): SpecInput {
  const spec: Container = { name: 'main', image: 'shop:1', ...container };
  return {
    pod: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'shop', namespace: 'default', uid: 'u1' },
      spec: { containers: [spec], ...pod },
    },
    container: {
      id: { podUid: 'u1', container: 'main', restart: 0 },
      spec,
      image: {
        digest: '',
        layers: [],
        base: [],
        config: { entrypoint: [], cmd: [], env: [], workingDir: '/', user: '', labels: {}, platform: 'linux/amd64' },
      },
      argv: ['/shop', '--port', '80'],
      workingDir: '/srv',
      environment: { LANG: 'C' },
      mounts: [],
      logPath: '/log',
      ...onNode,
    },
    rootPath: '/bundle/root',
    user: { uid: 0, gid: 0, additionalGids: [0] },
    namespaces: { network: '/ns/net', ipc: '/ns/ipc', uts: '/ns/uts' },
    hostname: 'shop',
    cgroupsPath: '/kittiwake-1/podu1/main.0',
    hostFiles: [],
    isTerminal: false,
    machine: bigMachine,
    ...input,
  };
}
