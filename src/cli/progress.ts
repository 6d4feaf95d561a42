import { type Build, BuildKind } from '../api/build/build.ts';
import type { Key } from '../api/meta.ts';
import { type Service, ServiceKind } from '../api/serving/service.ts';
import type { Client } from '../kube/client.ts';
import { messageOf } from '../lib/errors.ts';

/** What happened to a service on its way to Ready, in order. */
export type Step =
  | { type: 'build-step'; message: string }
  | { type: 'built'; image: string; digest: string; commit: string | undefined }
  | { type: 'build-failed'; message: string; log: string }
  | { type: 'revision-created'; name: string }
  | { type: 'ready'; url: string; revision: string };

/**
 * Follows a service until its newest generation is ready, telling each step as it happens. Throws with the condition's
 * message when it fails (`build-failed`, with the log, is told before), or when `signal` aborts.
 */
export async function followService(
  client: Client,
  key: Key,
  onStep: (step: Step) => void,
  signal: AbortSignal,
): Promise<void> {
  const ended = new AbortController();
  const both = AbortSignal.any([signal, ended.signal]);
  const build = followBuild(client, key, onStep, both);
  try {
    await Promise.race([followReadiness(client, key, onStep, both), build.failure]);
  } catch (error) {
    if (signal.aborted)
      throw new Error(`service ${key.name} is not ready: ${build.lastMessage() || 'no step was seen'}`);
    throw error;
  } finally {
    ended.abort();
  }
}

async function followReadiness(
  client: Client,
  key: Key,
  onStep: (step: Step) => void,
  signal: AbortSignal,
): Promise<void> {
  let created: string | undefined;
  for await (const service of changes<Service>(client, key, signal)) {
    const { status } = service;
    if (status?.observedGeneration !== service.metadata.generation) continue;
    if (status?.latestCreatedRevisionName !== undefined && status.latestCreatedRevisionName !== created) {
      created = status.latestCreatedRevisionName;
      onStep({ type: 'revision-created', name: created });
    }
    const ready = status?.conditions?.find((condition) => condition.type === 'Ready');
    if (ready?.status === 'True' && created !== undefined) {
      onStep({ type: 'ready', url: status?.url ?? '', revision: created });
      return;
    }
    // A failed build reports itself, with its log.
    if (ready?.status === 'False' && !/build/i.test(ready.reason ?? '')) {
      throw new Error(`service ${key.name} is not ready: ${ready.reason}: ${ready.message}`);
    }
  }
}

function followBuild(client: Client, key: Key, onStep: (step: Step) => void, signal: AbortSignal) {
  let last = '';
  const failure = (async () => {
    for await (const event of client.watch(BuildKind, { namespace: key.namespace ?? 'default', signal })) {
      if (event.type === 'BOOKMARK' || event.type === 'DELETED' || !(await isNewestBuildOf(client, key, event.object)))
        continue;
      const { status } = event.object;
      const succeeded = status?.conditions?.find((condition) => condition.type === 'Succeeded');
      const message = succeeded?.message ?? '';
      if (succeeded?.status === 'True' && status?.output) {
        if (last !== status.output.digest) onStep({ type: 'built', ...status.output, commit: status.source?.commit });
        last = status.output.digest;
      } else if (succeeded?.status === 'False') {
        onStep({ type: 'build-failed', message, log: status?.log ?? '' });
        throw new Error(`the build of ${key.name} failed: ${succeeded.reason}: ${message}`);
      } else if (message !== '' && message !== last) {
        onStep({ type: 'build-step', message });
        last = message;
      }
    }
    await new Promise(() => {}); // The watch ended because the other side has: let that one decide.
  })();
  failure.catch(messageOf); // It may fail after the race is decided, when nobody listens.
  return { failure, lastMessage: () => last };
}

async function isNewestBuildOf(client: Client, key: Key, build: Build): Promise<boolean> {
  const owner = build.metadata.ownerReferences?.find((reference) => reference.controller);
  if (owner?.kind !== 'Configuration' || owner.name !== key.name) return false;
  const service = await client.get(ServiceKind, key);
  return build.metadata.name === `${key.name}-${String(service?.metadata.generation ?? 0).padStart(5, '0')}`;
}

/** The service as it is and after each change; ends when it is deleted or `signal` aborts. */
async function* changes<T extends Service>(client: Client, key: Key, signal: AbortSignal): AsyncIterable<T> {
  const fieldSelector = `metadata.name=${key.name}`;
  for await (const event of client.watch(ServiceKind, {
    namespace: key.namespace ?? 'default',
    fieldSelector,
    signal,
  })) {
    if (event.type === 'DELETED') throw new Error(`service ${key.name} was deleted`);
    if (event.type !== 'BOOKMARK') yield event.object as T;
  }
}
