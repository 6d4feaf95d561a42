/** The version of Kubernetes whose API is offered: what clients decide by. */
export const kubernetesVersion = 'v1.34.0';

/** The answer of `/version`; clients parse `gitVersion` as a semantic version, `major` and `minor` as digits. */
export const versionInfo = {
  major: '1',
  minor: '34',
  gitVersion: `${kubernetesVersion}+kittiwake`,
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '2026-11-23T00:00:00Z',
  goVersion: '',
  compiler: 'node',
  platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
};
