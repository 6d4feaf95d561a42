import { BuildKind } from './build/build.ts';
import type { Kind } from './kind.ts';

/** The kinds of the platform itself, which the server installs as CustomResourceDefinitions at start. */
export const platformKinds: readonly Kind[] = [BuildKind];
