import { setTimeout } from 'node:timers/promises';
import { type Build, BuildKind } from '../api/build/build.ts';
import { conditionOf, type Key } from '../api/meta.ts';
import { ConfigurationKind } from '../api/serving/configuration.ts';
import { labels } from '../api/serving/names.ts';
import { type Service, ServiceKind } from '../api/serving/service.ts';
import type { Client } from '../kube/client.ts';
import { isObserved, isWanted, judge, type Observation, type Verdict } from './readiness.ts';
import { watchOn } from './watch-on.ts';

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
  let created: { name: string | undefined } | undefined;
  let verdict: Verdict | undefined;
  const services = changes(client, key, signal);
  const nextChange = () => {
    const next = services.next();
    next.catch(() => {}); // It may fail after the outcome is known, when nobody waits for it any more.
    return next;
  };
  let next = nextChange();
  while (!signal.aborted) {
    const due = verdict?.type === 'doubtful' ? verdict.againAtMs : undefined;
    const change = await Promise.race([next, ...(due === undefined ? [] : [until(due, signal)])]);
    if (change?.done) return;
    if (change) next = nextChange();
    const observed = await observe(client, key, change?.value);
    if (!observed) continue; // Its deletion is the next change.
    const { service, configuration } = observed;
    const name = configuration?.status?.latestCreatedRevisionName;
    created ??= { name: service.status?.latestCreatedRevisionName };
    const isNews = configuration && isWanted(service, configuration) && isObserved(configuration);
    if (isNews && name !== undefined && name !== created.name) {
      await buildFirst();
      created = { name };
      onStep({ type: 'revision-created', name });
    }
    verdict = judge(observed, verdict);
    if (verdict.type === 'ready' || verdict.type === 'failed') {
      await buildFirst(); // A failed build reports itself, with its log.
      if (verdict.type === 'failed') throw new Error(`service ${key.name} is not ready: ${verdict.why}`);
      return onStep(verdict);
    }
  }
}

/** The service, as it is now unless it is given, and then its Configuration. */
async function observe(client: Client, key: Key, given?: Service): Promise<Observation | undefined> {
  const service = given ?? (await client.get(ServiceKind, key));
  const configuration = await client.get(ConfigurationKind, key);
  return service && { service, configuration, atMs: performance.now() };
}

async function until(atMs: number, signal: AbortSignal): Promise<undefined> {
  await setTimeout(Math.max(0, atMs - performance.now()), undefined, { signal }).catch(() => {
    // Aborted: whoever waits sees that by itself.
  });
}

/** What to say when patience has ended before the service was ready. */
async function whyNotReady(client: Client, key: Key, lastBuildMessage: string): Promise<string> {
  const ready = conditionOf(await client.get(ServiceKind, key), 'Ready');
  const state = ready?.message || ready?.reason || lastBuildMessage || 'no step was seen';
  const remedy = `it goes on: see 'kittiwake status' and 'kittiwake logs ${key.name}'`;
  return `gave up waiting for service ${key.name}: ${state} (${remedy})`;
}

function followBuild(client: Client, key: Key, onStep: (step: Step) => void, signal: AbortSignal) {
  const namespace = key.namespace ?? 'default';
  let last = '';
  const tell = async (build: Build) => {
    if (!(await isNewestBuildOf(client, key, build))) return;
    const { status } = build;
    const succeeded = conditionOf(build, 'Succeeded');
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
    for await (const event of watchOn(client, BuildKind, { namespace, signal })) {
      if (event.type !== 'BOOKMARK' && event.type !== 'DELETED') await tell(event.object);
    }
    await new Promise(() => {}); // The watch ended because the other side has: let that one decide.
  })();
  failure.catch(() => {}); // It may fail after the race is decided, when nobody listens.
  return {
    failure,
    /** Tells what the build's own watch has not told yet, so that steps come in their order. */
    async catchUp() {
      for (const build of (await client.list(BuildKind, { namespace })).items) await tell(build);
    },
    lastMessage: () => last,
  };
}

/** Whether the Build is of the Configuration's generation, and that of what the Service asks for now. */
async function isNewestBuildOf(client: Client, key: Key, build: Build): Promise<boolean> {
  if (!isBuildOf(key, build)) return false;
  const { service, configuration } = (await observe(client, key)) ?? {};
  if (!service || !configuration || !isWanted(service, configuration)) return false;
  return generationOf(build) === configuration.metadata.generation;
}

/** Whether the Build is one of the service's Configuration, which has its name. */
export function isBuildOf({ name }: Key, build: Build): boolean {
  const owner = build.metadata.ownerReferences?.find((reference) => reference.controller);
  return owner?.kind === ConfigurationKind.kind && owner.name === name;
}

/** The generation of its Configuration that a Build is for. */
export const generationOf = (build: Build): number =>
  Number(build.metadata.labels?.[labels.configurationGeneration] ?? 0);

/** The service as it is and after each change; ends when it is deleted or `signal` aborts. */
async function* changes(client: Client, key: Key, signal: AbortSignal): AsyncGenerator<Service> {
  const scope = { namespace: key.namespace ?? 'default', fieldSelector: `metadata.name=${key.name}` };
  for await (const event of watchOn(client, ServiceKind, { ...scope, signal })) {
    if (event.type === 'DELETED') throw new Error(`service ${key.name} was deleted`);
    if (event.type !== 'BOOKMARK') yield event.object;
  }
}
