import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { bootId } from '../../../../lib/boot-id.ts';
import { readJsonFile, writeJsonFile } from '../../../../lib/json-file.ts';
import type { ContainerId } from '../../driver.ts';
import { makeClaimable } from '../claims.ts';
import type { KeptNamespaces } from './namespaces.ts';

/**
 * What the disk knows of a pod and its containers, so that an agent that dies at any moment finds them again:
 *
 *     sandbox.json         what the pod has of the machine; written before it is made, and again when it is
 *     CONTAINER.json       what is going to run; written before the spawn
 *     CONTAINER.N.pid      who runs it (claims.ts)
 *     CONTAINER/exit       how it ended: written by the shell that was its parent
 */
export interface SandboxRecord {
  podUid: string;
  /** Of the machine's run: nothing of what is said here outlives it. */
  bootId: string;
  /** Empty until the sandbox is whole. */
  ips: string[];
  namespaces: KeptNamespaces;
  sharedMemoryPath?: string;
}

export interface ContainerRecord {
  id: ContainerId;
  bootId: string;
  logPath: string;
  startedAtMs: number;
  /** The control group, as a path within each tree. */
  cgroupsPath: string;
  /** Its input is the FIFO `stdin` in its folder. */
  hasInput: boolean;
  hasTerminal: boolean;
  /** It has the processes of another container of its pod. */
  joinsProcesses?: boolean;
  /** Its program waits to be let go (held.ts). */
  isHeld?: boolean;
}

const sandboxPath = (podDir: string) => join(podDir, 'sandbox.json');
/** No container is called that: a name has no dots. */
export const containerRecordPath = (podDir: string, container: string) => join(podDir, `${container}.record.json`);
/** Of the start's own folder, in which its root and its bundle are. */
export const placeOf = (podDir: string, container: string) => join(podDir, container);

/** Nothing of it need last: a machine that goes down ends what it tells of. */
const forTheOwner = { mode: 0o600, mustLast: false };

export function writeSandboxRecord(podDir: string, record: SandboxRecord): void {
  writeJsonFile(sandboxPath(podDir), record, forTheOwner);
}

/** Undefined when there is none of this run of the machine, or it is damaged. */
export function readSandboxRecord(podDir: string, podUid: string): SandboxRecord | undefined {
  const value = (readJsonFile(sandboxPath(podDir)) ?? {}) as Partial<SandboxRecord>;
  const { ips, namespaces, sharedMemoryPath = '' } = value;
  const isWhole =
    value.podUid === podUid &&
    value.bootId === bootId() &&
    Array.isArray(ips) &&
    areStrings(ips) &&
    typeof namespaces === 'object' &&
    namespaces !== null &&
    areStrings([...Object.values(namespaces), sharedMemoryPath]);
  return isWhole ? (value as SandboxRecord) : undefined;
}

export function writeContainerRecord(podDir: string, record: ContainerRecord): void {
  makeClaimable(podDir, record.id);
  rewriteContainerRecord(podDir, record);
}

/** Of a start that has been claimed already. */
export function rewriteContainerRecord(podDir: string, record: ContainerRecord): void {
  writeJsonFile(containerRecordPath(podDir, record.id.container), record, forTheOwner);
}

/** Undefined when there is none of this run of the machine, or it is damaged: then nothing can be adopted by it. */
export function readContainerRecord(podDir: string, podUid: string, container: string): ContainerRecord | undefined {
  const value = (readJsonFile(containerRecordPath(podDir, container)) ?? {}) as Partial<ContainerRecord>;
  const { id, logPath, startedAtMs, cgroupsPath, hasInput, hasTerminal } = value;
  const isWhole =
    id?.podUid === podUid &&
    id.container === container &&
    Number.isSafeInteger(id.restart) &&
    id.restart >= 0 &&
    value.bootId === bootId() &&
    areStrings([logPath, cgroupsPath]) &&
    Number.isFinite(startedAtMs) &&
    Math.abs(Number(startedAtMs)) < 8.64e15 &&
    typeof hasInput === 'boolean' &&
    typeof hasTerminal === 'boolean';
  return isWhole ? (value as ContainerRecord) : undefined;
}

export const exitPath = (podDir: string, container: string) => join(placeOf(podDir, container), 'exit');

/**
 * How a start ended, as the shell wrote it: an exit code, or `lost` when the OCI runtime was gone before the container.
 * Undefined when it wrote nothing: it is running, or was itself killed.
 */
export function readExit(path: string): { exitCode: number | 'lost'; finishedAtMs: number } | undefined {
  try {
    const text = readFileSync(path, 'latin1');
    const code = text === 'lost\n' ? 'lost' : /^\d{1,3}\n$/.test(text) ? Number(text) : undefined;
    return code === undefined ? undefined : { exitCode: code, finishedAtMs: statSync(path).mtimeMs };
  } catch {
    return undefined; // Not there.
  }
}

const areStrings = (values: unknown[]) => values.every((each) => typeof each === 'string');
