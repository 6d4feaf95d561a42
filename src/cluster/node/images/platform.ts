import type { Descriptor } from '../../../registry/manifest.ts';

export interface Platform {
  os: string;
  architecture: string;
  variant?: string | undefined;
}

/** What an image is for, as `OS/ARCHITECTURE`, and `/VARIANT` where there is one. */
export const platformText = ({ os, architecture, variant }: Platform) =>
  `${os}/${architecture}${variant ? `/${variant}` : ''}`;

/** This machine in the words of OCI, which are Go's. */
const host: Platform = {
  os: process.platform === 'win32' ? 'windows' : process.platform,
  architecture: { x64: 'amd64', arm64: 'arm64', ia32: '386', arm: 'arm' }[process.arch as string] ?? process.arch,
};

export const hostPlatform = platformText(host);

/**
 * The variants of an architecture that a machine runs, the best first; '' stands for none, which is the first one of
 * each (containerd's platforms: amd64 is amd64/v1, arm64 is arm64/v8, arm is arm/v7).
 */
export function variantsOf({ architecture }: Platform, armVersion: number): readonly string[] {
  if (architecture === 'amd64') return ['', 'v1'];
  if (architecture === 'arm64') return ['v8', ''];
  if (architecture !== 'arm') return [''];
  const versions = [8, 7, 6, 5].filter((version) => version <= armVersion);
  return versions.flatMap((version) => (version === 7 ? ['v7', ''] : [`v${version}`]));
}

/** What Node was built for, which runs here; `arm_version` is there on arm only. */
const armVersion = Number((process.config.variables as { arm_version?: string | number }).arm_version) || 7;

/**
 * Of what an index lists, what this machine runs best: by system and architecture, then by variant; undefined when
 * there is none. What says no platform is anybody's guess: the last resort.
 */
export function choosePlatform<T extends Pick<Descriptor, 'platform'>>(
  offered: readonly T[],
  machine: Platform = host,
  arm: number = armVersion,
): T | undefined {
  const rank = new Map(variantsOf(machine, arm).map((variant, index) => [variant, index]));
  const fitting = offered.flatMap((one) => {
    const { platform } = one;
    if (platform?.os !== machine.os || platform.architecture !== machine.architecture) return [];
    const place = rank.get(platform.variant ?? '');
    return place === undefined ? [] : [{ one, place }];
  });
  const [best] = fitting.sort((a, b) => a.place - b.place);
  return best?.one ?? offered.find((one) => one.platform === undefined);
}
