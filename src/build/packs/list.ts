import { nodePack } from './node/index.ts';
import type { Pack } from './pack.ts';

/** The languages, in the order in which they are asked whether a source is theirs. */
export const packs: readonly Pack[] = [nodePack()];
