/** From source to an image in a registry: the Build controller, and the upload of folders for the command line. */
export { type BuildControllerOptions, buildControllers } from './controller.ts';
export { BuildFailure, type BuildFailureReason } from './failure.ts';
export { uploadFolder } from './source/artifact.ts';
