/** Labels by which our own images say what may be left out of them; others have none. */

/** The runtime that the app needs, for example `node24`: a node that has it can run the app without the image's. */
export const runtimeLabel = 'dev.kittiwake.runtime';

/** How many layers, from the bottom, are only there for that: the C library, a shell, the runtime. */
export const baseLayersLabel = 'dev.kittiwake.base-layers';
