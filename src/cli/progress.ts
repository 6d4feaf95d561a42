import { type Build, BuildKind } from '../api/build/build.ts';
import type { Key } from '../api/meta.ts';
import { type Service, ServiceKind } from '../api/serving/service.ts';
import type { Client } from '../kube/client.ts';
import { messageOf } from '../lib/errors.ts';

/** What happened to a service on its way to Ready, in order. */
export type Step =
  | { type: 'build-step'; message: string }
  | { type: 'built'; image: string; digest: string; commit: string | undefined }
  | { type: 'build-failed'; log: string }
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
    await Promise.race([followReadiness(client, key, onStep, build.catchUp, both), build.failure]);
    if (signal.aborted) throw new Error(await whyNotReady(client, key, build.lastMessage()));
  } catch (error) {
    throw signal.aborted ? new Error(await whyNotReady(client, key, build.lastMessage())) : error;
  } finally {
    ended.abort();
  }
}

async function followReadiness(
  client: Client,
  key: Key,
  onStep: (step: Step) => void,
  buildFirst: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  /** The newest revision told; before that the one that was there at first, which is no news. */
  let created: string | undefined;
  let isFirst = true;
  for await (const service of changes<Service>(client, key, signal)) {
    const { status } = service;
    if (isFirst) created = status?.latestCreatedRevisionName;
    isFirst = false;
    if (status?.observedGeneration !== service.metadata.generation) continue;
    if (status?.latestCreatedRevisionName !== undefined && status.latestCreatedRevisionName !== created) {
      await buildFirst();
      created = status.latestCreatedRevisionName;
      onStep({ type: 'revision-created', name: created });
    }
    const ready = status?.conditions?.find((condition) => condition.type === 'Ready');
    if (ready?.status === 'True' && created !== undefined) {
      await buildFirst();
      onStep({ type: 'ready', url: status?.url ?? '', revision: created });
      return;
    }
    // A failed build reports itself, with its log.
    if (ready?.status === 'False' && !/build/i.test(ready.reason ?? '')) {
      await buildFirst();
      throw new Error(`service ${key.name} is not ready: ${ready.reason}: ${ready.message}`);
    }
  }
}

/** What to say when patience has ended before the service was ready. */
async function whyNotReady(client: Client, key: Key, lastBuildMessage: string): Promise<string> {
  const { status } = (await client.get(ServiceKind, key)) ?? {};
  const ready = status?.conditions?.find((condition) => condition.type === 'Ready');
  const state = ready?.message || ready?.reason || lastBuildMessage || 'no step was seen';
  const remedy = `it goes on: see 'kittiwake status' and 'kittiwake logs ${key.name}'`;
  return `gave up waiting for service ${key.name}: ${state} (${remedy})`;
}

function followBuild(client: Client, key: Key, onStep: (step: Step) => void, signal: AbortSignal) {
  const namespace = key.namespace ?? 'default';
  let last = '';
  const observe = async (build: Build) => {
    if (!(await isNewestBuildOf(client, key, build))) return;
    const { status } = build;
    const succeeded = status?.conditions?.find((condition) => condition.type === 'Succeeded');
    const message = succeeded?.message ?? '';
    const news = status?.output?.digest ?? message;
    if (news === '' || news === last || signal.aborted) return;
    last = news;
    if (succeeded?.status === 'True' && status?.output) {
      onStep({ type: 'built', ...status.output, commit: status.source?.commit });
    } else if (succeeded?.status === 'False') {
      const log = status?.log ?? '';
      onStep({ type: 'build-failed', log });
      const isInLog = log.includes(message);
      throw new Error(`the build of ${key.name} failed: ${succeeded.reason}${isInLog ? '' : `: ${message}`}`);
    } else {
      onStep({ type: 'build-step', message });
    }
  };
  const failure = (async () => {
    for await (const event of client.watch(BuildKind, { namespace, signal })) {
      if (event.type !== 'BOOKMARK' && event.type !== 'DELETED') await observe(event.object);
    }
    await new Promise(() => {}); // The watch ended because the other side has: let that one decide.
  })();
  failure.catch(messageOf); // It may fail after the race is decided, when nobody listens.
  return {
    failure,
    /** Tells what the build's own watch has not told yet, so that steps come in their order. */
    async catchUp() {
      for (const build of (await client.list(BuildKind, { namespace })).items) await observe(build);
    },
    lastMessage: () => last,
  };
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
