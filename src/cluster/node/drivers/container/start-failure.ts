import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartError } from '../../driver.ts';
import { revokedCode, unmountedCode } from './launch.ts';
import { errorIn } from './oci-runtime.ts';

/** Why a program has not started, in the words that Kubernetes' users know. */
export function failureOf(place: string, code: number | null): StartError {
  if (code === revokedCode) return new StartError('CreateContainerError', 'the start was revoked');
  if (code === unmountedCode) {
    const said = readText(join(place, 'mount.log')).trim();
    return new StartError('CreateContainerError', `failed to mount the container's root: ${said}`);
  }
  const said = errorIn(join(place, 'runtime.log')) ?? `the runtime ended with ${code ?? 'a signal'}`;
  // runc calls by its command what is always the same failure.
  const message = said.replace(/^runc run failed/, 'runc create failed');
  return new StartError('RunContainerError', `OCI runtime create failed: ${message}: unknown`);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').slice(0, 4096);
  } catch {
    return ''; // It has said nothing.
  }
}
