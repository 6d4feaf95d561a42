import { kubernetesVersion } from '../../../kubernetes-version.ts';

/** The answer of `/version`; clients parse `gitVersion` as a semantic version, `major` and `minor` as digits. */
export const versionInfo = {
  major: String(kubernetesVersion.major),
  minor: String(kubernetesVersion.minor),
  gitVersion: kubernetesVersion.text,
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '2026-11-23T00:00:00Z',
  goVersion: '',
  compiler: 'node',
  platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
};
