import { join } from 'node:path';
import { readJsonFile, writeJsonFile } from '../../../../lib/json-file.ts';
import { parseDigest } from '../../../../registry/digest.ts';
import type { ContainerId, PortMap } from '../../driver.ts';
import { claim, makeClaimable } from '../claims.ts';

/**
 * What the disk knows of one start, so that an agent that dies at any moment finds it again or knows that it never was:
 *
 *     CONTAINER.json     what is going to run; written before the spawn
 *     CONTAINER.N.pid    who runs it (claims.ts)
 */
export interface ContainerRecord {
  id: ContainerId;
  ports: PortMap;
  logPath: string;
  startedAtMs: number;
  imageDigest: string;
  /** The temporary folder outside of the node's own; '' when it is in the working copy. */
  temp: string;
  /** Of the machine's run: numbers of processes and their start times are only worth something within it. */
  bootId: string;
  /** The environment and folder of the program, for commands beside it (exec probes). */
  environment: Record<string, string>;
  cwd: string;
  /** The FIFO that it reads; absent where it has no input. */
  inputPath?: string;
  /** It runs on a terminal, which script (util-linux) has made. */
  hasTerminal?: boolean;
}

export const recordPath = (podDir: string, container: string) => join(podDir, `${container}.json`);

export function writeRecord(podDir: string, record: ContainerRecord): void {
  makeClaimable(podDir, record.id);
  // Secrets may be in the environment: for the owner only. It need not last: a machine that goes down ends the
  // processes too, and what is found after that, torn, old or not at all, is of another boot or is no record.
  writeJsonFile(recordPath(podDir, record.id.container), record, { mode: 0o600, mustLast: false });
}

/**
 * The record of the container `container` of the pod `podUid`. Undefined when the file is not one, whatever it is: it
 * was half written, or damaged. Then nothing can be adopted by it.
 */
export function readRecord(podDir: string, podUid: string, container: string): ContainerRecord | undefined {
  const value = readJsonFile(recordPath(podDir, container));
  return isRecord(value) && value.id.podUid === podUid && value.id.container === container ? value : undefined;
}

/** Paths are made of what is in it, and processes signalled: each field is what it should be. */
function isRecord(value: unknown): value is ContainerRecord {
  const {
    id,
    ports,
    logPath,
    startedAtMs,
    imageDigest,
    temp,
    bootId,
    environment,
    cwd,
    inputPath = '',
  } = (value ?? {}) as Partial<ContainerRecord>;
  const areStrings = (values: unknown[]) => values.every((each) => typeof each === 'string');
  const isPort = (each: unknown) => Number.isInteger(each) && Number(each) > 0 && Number(each) <= 65535;
  return (
    areStrings([id?.podUid, id?.container, logPath, imageDigest, temp, bootId, cwd, inputPath]) &&
    Number.isSafeInteger(id?.restart) &&
    Number(id?.restart) >= 0 &&
    Number.isFinite(startedAtMs) &&
    Math.abs(Number(startedAtMs)) < 8.64e15 &&
    parseDigest(imageDigest ?? '') !== undefined &&
    typeof ports === 'object' &&
    ports !== null &&
    Object.values(ports).every(isPort) &&
    typeof environment === 'object' &&
    environment !== null &&
    areStrings(Object.values(environment))
  );
}

/** The shell that becomes the program: `$0` is the .pid file. */
export const launcher = `${claim}; exec "$@"`;
