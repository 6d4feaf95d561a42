import { join } from 'node:path';
import type { Pod } from '../../../../api/core/pod.ts';
import type { ContainerOnNode } from '../../driver.ts';
import { readImageFile } from '../../images/image-file.ts';
import { hostnameOf } from './host-files.ts';
import { type PodFiles, podFilesOf } from './pod-files.ts';
import type { SandboxRecord } from './record.ts';
import { hostDevices } from './spec/devices.ts';
import type { NodeMachine } from './spec/machine.ts';
import type { OciSpec } from './spec/oci.ts';
import { runtimeSpec } from './spec/runtime-spec.ts';
import { readSeccompProfile } from './spec/seccomp-profile.ts';
import { userOf } from './spec/user.ts';

export interface SpecOptions {
  pod: Pod;
  container: ContainerOnNode;
  /** The start's own folder. */
  place: string;
  podDir: string;
  cgroupsPath: string;
  sandbox: SandboxRecord;
}

/** What an OCI runtime is told of a container of this node: what runtimeSpec needs is read, and it decides. */
export class Specs {
  readonly #machine: NodeMachine;
  readonly #names: PodFiles;
  readonly #seccompDir: string;

  constructor(machine: NodeMachine, names: PodFiles, seccompDir: string) {
    this.#machine = machine;
    this.#names = names;
    this.#seccompDir = seccompDir;
  }

  async of({ pod, container, place, podDir, cgroupsPath, sandbox }: SpecOptions): Promise<OciSpec> {
    const { image, spec } = container;
    const seccompProfile = await readSeccompProfile(pod, spec, this.#seccompDir);
    const { namespaces, sharedMemoryPath } = sandbox;
    return runtimeSpec({
      pod,
      container,
      rootPath: join(place, 'rootfs'),
      user: await userOf({
        pod,
        container: spec,
        imageUser: image.config.user,
        readFile: (path) => readImageFile(image, path),
      }),
      namespaces: pod.spec.hostPID ? { ...namespaces, pid: 'host' } : namespaces,
      hostname: hostnameOf(pod, this.#names.domain),
      cgroupsPath,
      hostFiles: podFilesOf(podDir, pod),
      ...(sharedMemoryPath === undefined ? {} : { sharedMemoryPath }),
      ...(seccompProfile ? { seccompProfile } : {}),
      ...(spec.securityContext?.privileged ? { devices: await hostDevices() } : {}),
      isTerminal: spec.tty === true,
      machine: this.#machine,
    });
  }
}
