/** What an image is for, as `OS/ARCHITECTURE`. */
export const platformText = ({ os, architecture }: { os: string; architecture: string }) => `${os}/${architecture}`;

/** This machine in the words of OCI, which are Go's. */
export const hostPlatform = platformText({
  os: process.platform === 'win32' ? 'windows' : process.platform,
  architecture: { x64: 'amd64', arm64: 'arm64', ia32: '386', arm: 'arm' }[process.arch as string] ?? process.arch,
});
