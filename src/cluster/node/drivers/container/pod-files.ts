import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod } from '../../../../api/core/pod.ts';
import type { Mount } from '../../driver.ts';
import { resolvConf } from '../../resolv-conf.ts';
import { hostnameOf, hostsFile } from './host-files.ts';

/** What the node knows of names. */
export interface PodFiles {
  nameservers: readonly string[];
  /** For example `cluster.local`. */
  domain: string;
}

/** No container is called that: a name has no dots. */
const folderOf = (podDir: string) => join(podDir, 'etc.pod');
const names = ['hosts', 'hostname', 'resolv.conf'] as const;

/** Writes the files that the node gives to each of the pod's containers. */
export function writePodFiles(podDir: string, pod: Pod, ips: readonly string[], files: PodFiles): void {
  const { nameservers, domain } = files;
  const texts = {
    hosts: hostsFile(pod, ips, domain, readText('/etc/hosts')),
    hostname: `${hostnameOf(pod, domain)}\n`,
    'resolv.conf': resolvConf(pod, { nameservers, domain, hostConf: readText('/etc/resolv.conf') }).text,
  };
  mkdirSync(folderOf(podDir), { recursive: true });
  for (const name of names) writeFileSync(join(folderOf(podDir), name), texts[name], { mode: 0o644 });
}

/** As they appear in containers. A pod in the machine's network has the machine's name. */
export function podFilesOf(podDir: string, { spec }: Pod): Mount[] {
  const given = names.filter((name) => name !== 'hostname' || !spec.hostNetwork);
  return given.map((name) => ({ source: join(folderOf(podDir), name), path: `/etc/${name}`, isReadOnly: false }));
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // A machine may have none.
  }
}
