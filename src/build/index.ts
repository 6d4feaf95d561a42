/**
 * From source to an image in a registry: the Build controller. What builds is loaded by the builds' own processes; the
 * upload of folders, which packs them, is for the command line (source/artifact.ts).
 */
export { type BuildControllerOptions, buildControllers } from './controller.ts';
export { BuildFailure, type BuildFailureReason } from './failure.ts';
