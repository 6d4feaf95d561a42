/** OCI images: references and digests, a client for any registry, and the embedded registry. */
export type { Credentials } from './auth.ts';
export { type BlobSource, RegistryClient, RegistryClientError, type RegistryClientOptions } from './client.ts';
export { type Digest, digestOf, parseDigest } from './digest.ts';
export {
  type Descriptor,
  type ImageConfig,
  type Manifest,
  maxManifestBytes,
  mediaTypes,
  parseManifest,
} from './manifest.ts';
export {
  embeddedRegistryHost,
  formatReference,
  isRepositoryName,
  parseReference,
  type Reference,
} from './reference.ts';
export { type RegistryOptions, type RunningRegistry, startRegistry } from './server/registry.ts';
