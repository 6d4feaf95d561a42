import { build } from '../build/feature.ts';
import { eventing } from '../eventing/feature.ts';
import type { Feature } from '../feature/feature.ts';
import { serving } from '../serving/feature.ts';

/** What the product is made of. */
export const features: readonly Feature[] = [serving, build, eventing];
