import { type Pod, PodKind } from '../../../api/core/pod.ts';
import type { Container } from '../../../api/core/pod-spec.ts';
import { keyOf, timestamp } from '../../../api/meta.ts';
import { RuntimeClassKind } from '../../../api/node/runtime-class.ts';
import { dated } from '../../../kube/conditions.ts';
import { sleep } from '../../../lib/clock.ts';
import { KittiwakeError, messageOf } from '../../../lib/errors.ts';
import { embeddedRegistryHost, parseReference } from '../../../registry/reference.ts';
import type { Sandbox, SandboxRequest } from '../driver.ts';
import { nodeErrors } from '../errors.ts';
import { imageFor } from './image-for.ts';
import type { NodeContext } from './node-context.ts';
import { createBackoffMs } from './restart.ts';

export interface MakeSandboxOptions {
  node: NodeContext;
  /** As it is now. */
  pod(): Pod;
  /** Ends the trying. */
  signal: AbortSignal;
  /** The pod is being ended. */
  isStopped(): boolean;
}

/** Gets the pod its sandbox, trying again while there can be none; undefined when it was stopped meanwhile. */
export async function makeSandbox({ node, pod, signal, isStopped }: MakeSandboxOptions): Promise<Sandbox | undefined> {
  const { driver, events, clock } = node;
  let told = '';
  for (let attempt = 0; ; attempt++) {
    try {
      await node.handOver(pod());
      return await driver.sandbox(pod(), signal, requestOf(node, pod()));
    } catch (error) {
      if (signal.aborted || isStopped()) return undefined;
      if (isOfMachine(error)) {
        const message = `0/1 nodes are available: ${messageOf(error)}`;
        events.record(pod(), 'Warning', 'FailedScheduling', message);
        if (told !== message) told = await tellWaiting(node, pod(), message);
      } else {
        const message = `Failed to create pod sandbox: ${messageOf(error)}`;
        events.record(pod(), 'Warning', 'FailedCreatePodSandBox', message);
      }
      // Stopped meanwhile: said next.
      await sleep(clock, createBackoffMs(attempt), signal).catch(() => undefined);
    }
  }
}

/** What the pod asks for is not there: it waits, as one for which no node has room. */
const isOfMachine = (error: unknown) =>
  error instanceof KittiwakeError && ['RUNTIME_UNAVAILABLE', 'RUNTIME_UNKNOWN'].includes(error.code);

/** Says in the pod's status what it waits for; returns the message, or '' when it is to be tried again. */
async function tellWaiting({ client, clock, log }: NodeContext, seen: Pod, message: string): Promise<string> {
  try {
    const pod = await client.get(PodKind, keyOf(seen));
    if (pod?.metadata.uid !== seen.metadata.uid || pod === undefined) return message;
    const { conditions = [] } = pod.status ?? {};
    const wanted = { type: 'PodScheduled', status: 'False' as const, reason: 'Unschedulable', message };
    const condition = dated(wanted, conditions, timestamp(clock.now()));
    const others = conditions.filter(({ type }) => type !== 'PodScheduled');
    const status = { ...pod.status, phase: 'Pending' as const, conditions: [...others, condition] };
    await client.update(PodKind, { ...pod, status }, 'status');
    return message;
  } catch (error) {
    log.warn({ pod: seen.metadata.name, reason: messageOf(error) }, 'a pod could not be told what it waits for');
    return '';
  }
}

/** What the driver may want to know of the pod before it makes the sandbox. */
export function requestOf(node: NodeContext, pod: Pod): SandboxRequest {
  const { containers, initContainers = [] } = pod.spec;
  return {
    handler: () => handlerOf(node, pod),
    imageLabels: () => Promise.all([...initContainers, ...containers].map((each) => labelsOf(node, pod, each))),
  };
}

/** Both drivers have a RuntimeClass by their own name; others lead to one of them. */
async function handlerOf({ client, runtimeClasses }: NodeContext, { spec }: Pod): Promise<string | undefined> {
  const name = spec.runtimeClassName;
  if (name === undefined || runtimeClasses.includes(name)) return name;
  const found = await client.get(RuntimeClassKind, { name });
  if (!found) throw nodeErrors.RUNTIME_UNKNOWN({ name });
  return found.handler;
}

/**
 * Of the container's image, if it is of our own registry: whoever makes an image says what its labels are, and one from
 * elsewhere must not choose to run without a container. What cannot be had is said when the container starts.
 */
async function labelsOf(node: NodeContext, pod: Pod, container: Container) {
  const { image = '' } = container;
  try {
    if (parseReference(image).host !== embeddedRegistryHost) return undefined;
    return (node.images.find(image) ?? (await imageFor(node, pod, container, true))).config.labels;
  } catch {
    return undefined; // Its start fails in the same way, and says so.
  }
}
