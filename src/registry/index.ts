/** OCI images: references and digests, and a client for any registry; the embedded one is `server/registry.ts`. */
export type { Credentials } from './auth.ts';
export { type BlobSource, RegistryClient, type RegistryClientOptions } from './client.ts';
export { RegistryClientError } from './client-error.ts';
export { type Digest, digestOf, parseDigest } from './digest.ts';
export { baseLayersLabel, runtimeLabel } from './labels.ts';
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
  isRegistryHost,
  isRepositoryName,
  parseReference,
  type Reference,
} from './reference.ts';
export { userCredentials } from './user-config.ts';
