import { embeddedRegistryHost, RegistryClient } from '../registry/index.ts';
import type { Addresses } from '../server/addresses.ts';

/** Reaches the platform's own registry by the name that stands for it. */
export const registryOf = ({ registryUrl }: Addresses): RegistryClient =>
  new RegistryClient({ mirrors: { [embeddedRegistryHost]: registryUrl } });
