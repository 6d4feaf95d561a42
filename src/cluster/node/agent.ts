import { mkdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { ReplicaSetKind } from '../../api/apps/replica-set.ts';
import { NodeKind } from '../../api/core/node.ts';
import { isPodTerminal, type Pod, PodKind } from '../../api/core/pod.ts';
import type { PodSpec } from '../../api/core/pod-spec.ts';
import { CoreServiceKind } from '../../api/core/service.ts';
import type { Client } from '../../kube/client.ts';
import { Informer } from '../../kube/informer.ts';
import type { Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import { Quarantine } from '../../lib/quarantine.ts';
import type { Logger } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { parseReference } from '../../registry/reference.ts';
import { ExpectedPods } from '../expected-pods.ts';
import type { PodLogs } from '../pod-logs.ts';
import type { PodStreams } from '../pod-streams.ts';
import type { UsageReader } from '../pod-usage.ts';
import type { Driver } from './driver.ts';
import { runtimeClasses } from './drivers/choose.ts';
import { endContainers } from './end-containers.ts';
import { EventRecorder } from './events.ts';
import type { CollectionPolicy } from './images/collection.ts';
import { Files } from './images/files.ts';
import { type ImageSource, ImageStore } from './images/store.ts';
import { LogFiles } from './logs/log-files.ts';
import { podLogs } from './logs/pod-logs.ts';
import { nodeMetrics } from './metrics.ts';
import { podsMaxDefault, registerNode } from './node-object.ts';
import type { MachineCredentials, NodeContext } from './pods/node-context.ts';
import { PodRunner } from './pods/pod-runner.ts';
import { podStreams } from './pods/pod-streams.ts';
import { Spares } from './pods/spares.ts';
import { watchStorage } from './pods/storage/watch.ts';
import { VolumeRefresher } from './pods/volumes/refresher.ts';
import { registerRuntimeClasses } from './runtime-classes.ts';
import { type Room, reasonsAgainst, rejectionOf, unschedulable } from './scheduling/fit.ts';
import { forbidden, rejectPod } from './scheduling/reject.ts';
import { type Amounts, podRequests, sum } from './scheduling/requests.ts';
import { sampleNode } from './usage/node-sample.ts';
import { UsageSampler } from './usage/sampler.ts';
import { WaitingPods } from './waiting-pods.ts';

export interface NodeAgentOptions {
  client: Client;
  clock: Clock;
  log: Logger;
  /** The node's own folder: `images/`, `pods/`, `volumes/` and `logs/` are in it. */
  dataDir: string;
  nodeName: string;
  /** At which the machine's other programs reach the node. */
  address: string;
  driver: Driver;
  /** Where images come from: a RegistryClient. */
  registry: ImageSource;
  /** What the user of this machine has for registries, beside what pods bring. */
  machineCredentials?: MachineCredentials;
  metrics?: Metrics;
  /** Knows which pods have ended the process twice: their containers are not started. */
  quarantine?: Quarantine;
  /** When images that nobody uses are removed. */
  imagePolicy?: Partial<CollectionPolicy>;
  /** How many pods run at once; further ones wait. */
  podsMax?: number;
  /** By which the API server and ReplicaSets know what this node has ready; without it nothing is. */
  expectedPods?: ExpectedPods;
  /** How often it is looked for images, spares and logs that nobody needs. */
  housekeepingPeriodMs?: number;
  /** How many pods to come are ready at once, at most. */
  sparesMax?: number;
  /** How long after one look at what pods have on the disk the next one is. */
  storagePeriodMs?: number;
}

export interface NodeAgent {
  podLogs: PodLogs;
  podStreams: PodStreams;
  usage: UsageReader;
  /**
   * Ends the agent. With `stopPods` all pods end within a second: SIGTERM, then SIGKILL after 800 ms. Their objects
   * stay, and the next agent runs them again if they are still wanted. Without it they go on running for it to find.
   */
  stop(options: { stopPods: boolean }): Promise<void>;
}

const killAfterMs = 800;
const defaultScheduler = 'default-scheduler';
/** As often as the kubelet looks for images to remove. */
const housekeepingPeriodDefaultMs = 300_000;

/**
 * Runs the pods of this machine, which is the only node: claims what is not assigned, runs what is, and finds again
 * what an earlier agent started. Level-triggered: the API's objects and the driver's processes are all it knows.
 */
export async function startNodeAgent(options: NodeAgentOptions): Promise<NodeAgent> {
  const { client, clock, dataDir, nodeName, address, driver, metrics, podsMax = podsMaxDefault } = options;
  const log = options.log.child({ component: 'node' });
  const files = new Files(clock);
  const node: NodeContext = {
    client,
    clock,
    log,
    nodeName,
    driver,
    runtimeClasses,
    images: await ImageStore.open({
      dir: folder(dataDir, 'images'),
      source: options.registry,
      files,
      clock,
      log,
      ...(options.imagePolicy && { policy: options.imagePolicy }),
    }),
    machineCredentials: options.machineCredentials,
    logs: new LogFiles({ dir: folder(dataDir, 'logs'), clock, log }),
    events: new EventRecorder({ client, clock, log, nodeName }),
    metrics: metrics && nodeMetrics(metrics),
    files,
    quarantine: options.quarantine ?? new Quarantine(),
    host: { address, cpus: availableParallelism(), memoryBytes: totalmem() },
    volumesDir: folder(dataDir, 'volumes'),
    refresher: new VolumeRefresher({ client, clock, log }),
    services: new Informer(client, CoreServiceKind, { clock, log, metrics }),
    handOver: (pod) => spares.handOver(pod),
  };
  const { expectedPods: expected, sparesMax } = options;
  const spares = new Spares({ node, expected: expected ?? new ExpectedPods(), sparesMax: expected ? sparesMax : 0 });
  const runners = new Map<string, PodRunner>();
  const usage = new UsageSampler({
    clock,
    nodeName,
    containers: () => [...runners.values()].flatMap((runner) => runner.running),
    node: () => sampleNode(clock),
  });
  /** What each pod that runs here has asked for. */
  const requests = new Map<string, Amounts>();
  const waiting = new WaitingPods({
    client,
    clock,
    log,
    onTold(pod, { reason, message }) {
      if (reason === 'Unschedulable') node.events.record(pod, 'Warning', 'FailedScheduling', message);
    },
  });
  const nodes = new Informer(client, NodeKind, { clock, log, fieldSelector: `metadata.name=${nodeName}` });
  /** What an earlier agent left, of pods that have not been seen yet. */
  const recovered = new Map((await driver.recover()).map((sandbox) => [sandbox.podUid, sandbox]));

  const pods = new Informer(client, PodKind, { clock, log, metrics });
  let isStopped = false;
  pods.onChange((type, pod) => {
    if (isStopped) return;
    try {
      if (type === 'DELETED') {
        waiting.delete(pod.metadata.uid ?? '');
        runners.get(pod.metadata.uid ?? '')?.gone();
      } else see(pod);
      if (isPodTerminal(pod)) makeUseOfRoom();
    } catch (error) {
      log.error({ err: error, pod: pod.metadata.name }, 'a pod could not be looked at: it stays as it is');
    }
  });
  nodes.onChange(lookAgain);
  for (const informer of [nodes, node.services, pods]) informer.start();
  await nodes.settled;
  await pods.synced;
  await endPodsOfNobody();
  await removeVolumesOfNobody();
  const stopping = new AbortController();
  const { signal } = stopping;
  const registering = registerNode({ client, clock, log, nodeName, address, driver, podsMax, dataDir, signal });
  const registeringClasses = registerRuntimeClasses(client, runtimeClasses, log);
  let cancelHousekeeping = () => {};
  keepHouse();
  const stopWatchingStorage = watchStorage({
    pods: () => runners.values(),
    clock,
    log,
    periodMs: options.storagePeriodMs,
  });

  return { podLogs: podLogs(node.logs, clock), podStreams: podStreams((uid) => runners.get(uid)), usage, stop };

  /** A pod is new or has changed. */
  function see(pod: Pod): void {
    const { uid = '', deletionTimestamp } = pod.metadata;
    const runner = runners.get(uid);
    if (runner) {
      runner.update(pod);
      return;
    }
    if (deletionTimestamp !== undefined || isPodTerminal(pod)) waiting.delete(uid);
    const { nodeName: assigned = '' } = pod.spec;
    if (assigned !== nodeName && (assigned !== '' || deletionTimestamp !== undefined)) return;
    if (isPodTerminal(pod) && deletionTimestamp === undefined) return;
    // It has ended here, and is kept by somebody's finalizer.
    if (isPodTerminal(pod) && pod.metadata.deletionGracePeriodSeconds === 0 && !recovered.has(uid)) return;
    const isRunning = (recovered.get(uid)?.containers.length ?? 0) > 0;
    if (isRunning || deletionTimestamp !== undefined || pod.status?.startTime) run(pod);
    else admit(pod);
  }

  /** Runs a pod that has not run yet, if the node can. */
  function admit(pod: Pod): void {
    const { nodeName: assigned = '', schedulerName = defaultScheduler, schedulingGates = [] } = pod.spec;
    const rejection = forbidden(pod) ?? (assigned === '' ? undefined : rejectionOf(pod, room()));
    if (rejection)
      void rejectPod(node, pod, rejection); // Never rejects.
    else if (assigned !== '') run(pod);
    else if (schedulerName !== defaultScheduler)
      return; // Another's: it will say which node.
    else if (schedulingGates.length > 0) {
      const message = 'Scheduling is blocked due to non-empty scheduling gates';
      waiting.put(pod, { reason: 'SchedulingGated', message });
    } else {
      const reasons = reasonsAgainst(pod, room());
      if (reasons.length === 0) run(pod);
      else waiting.put(pod, { reason: 'Unschedulable', message: unschedulable(reasons) });
    }
  }

  function run(pod: Pod): void {
    const { uid = '' } = pod.metadata;
    waiting.delete(uid);
    const started = new PodRunner({ node, pod, sandbox: recovered.get(uid), onGone: () => forget(uid) });
    requests.set(uid, podRequests(pod.spec));
    recovered.delete(uid);
    runners.set(uid, started);
    node.metrics?.running.set(runners.size);
    started.start();
  }

  function forget(uid: string): void {
    const ended = runners.get(uid);
    if (ended?.hasBeenReady && !isStopped) spares.ended(ended.pod, ended.sandbox);
    runners.delete(uid);
    requests.delete(uid);
    node.metrics?.running.set(runners.size);
    makeUseOfRoom();
  }

  /** Pods that have ended take none, though they are kept to be looked at. */
  function room(): Room {
    let used: Amounts = {};
    let podCount = 0;
    for (const [uid, { pod }] of runners) {
      if (isPodTerminal(pod)) continue;
      podCount++;
      const own = requests.get(uid) ?? {};
      if (Object.keys(own).length > 0) used = sum(used, own);
    }
    return { node: nodes.get({ name: nodeName }), podsMax, podCount, used };
  }

  /** Whatever waits and fits now is run. */
  function makeUseOfRoom(): void {
    if (isStopped) return;
    let now = room();
    for (const pod of waiting.all()) {
      if (now.podCount >= podsMax) return;
      if (reasonsAgainst(pod, now).length > 0) continue;
      see(pod);
      now = room();
    }
  }

  /** The node has changed: those that wait are told what keeps them now, if anything does. */
  function lookAgain(): void {
    if (!isStopped) for (const pod of waiting.all()) see(pod);
  }

  /** Sandboxes of pods that the API does not know, that are another node's, or that are over. */
  async function endPodsOfNobody(): Promise<void> {
    for (const [uid, sandbox] of recovered) {
      if (waiting.has(uid)) continue;
      recovered.delete(uid);
      try {
        await sandbox.remove();
      } catch (error) {
        log.warn(
          { pod: uid, reason: messageOf(error) },
          'what is left of a pod could not be removed: at the next start',
        );
      }
    }
  }

  /** Volumes of pods that are gone, or over: an earlier agent did not come to it. */
  async function removeVolumesOfNobody(): Promise<void> {
    for (const uid of await readdir(node.volumesDir)) {
      if (runners.has(uid) || waiting.has(uid)) continue;
      const dir = join(node.volumesDir, uid);
      try {
        await files.remove(dir);
      } catch (error) {
        log.warn({ dir, reason: messageOf(error) }, 'volumes of a pod that is gone stay: until the next start');
      }
    }
  }

  function keepHouse(): void {
    cancelHousekeeping = clock.after(options.housekeepingPeriodMs ?? housekeepingPeriodDefaultMs, () => {
      collect()
        .catch((error) => log.warn({ reason: messageOf(error) }, 'housekeeping failed: trying again later'))
        .finally(() => {
          if (!isStopped) keepHouse();
        });
    });
  }

  /** Frees images, spares and logs that nobody needs. A ReplicaSet without pods still needs its image: it may wake. */
  async function collect(): Promise<void> {
    const replicaSets = await client.list(ReplicaSetKind, {});
    const specs = [...pods.list().map((pod) => pod.spec), ...replicaSets.items.map((rs) => rs.spec.template.spec)];
    // Also of pods that are not in the API any more, until their sandboxes are gone; and what runs, whatever its tag
    // leads to by now.
    const here = [...pods.list(), ...[...runners.values()].map((runner) => runner.pod)];
    const used = new Set([...specs, ...here.map((pod) => pod.spec)].flatMap(digestsOf));
    for (const digest of here.flatMap(runningDigestsOf)) used.add(digest);
    await spares.keep(used, replicaSets.items);
    await driver.keepPrepared(used);
    await node.images.collect(used);
    await node.images.sync();
    await node.logs.collect([...pods.list(), ...spares.pods].map((pod) => pod.metadata));
  }

  function digestsOf(spec: PodSpec): string[] {
    return [...spec.containers, ...(spec.initContainers ?? []), ...(spec.ephemeralContainers ?? [])].flatMap(
      ({ image = '' }) => {
        try {
          return parseReference(image).digest ?? node.images.find(image)?.digest ?? [];
        } catch {
          return []; // Not a reference: its pod says so.
        }
      },
    );
  }

  function runningDigestsOf({ status = {} }: Pod): string[] {
    const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = status;
    const all = [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses];
    return all.flatMap(({ imageID = '' }) => imageID.split('@')[1] ?? []);
  }

  async function stop({ stopPods }: { stopPods: boolean }): Promise<void> {
    isStopped = true;
    stopping.abort();
    cancelHousekeeping();
    stopWatchingStorage();
    usage.stop();
    const running = stopPods ? [...runners.values()].flatMap((runner) => runner.running) : [];
    const ended = endContainers(running, { clock, log, killAfterMs });
    await Promise.all([...runners.values()].map((runner) => runner.detach()));
    await ended;
    await spares.close();
    await Promise.all([
      registering,
      registeringClasses,
      node.events.close(),
      node.refresher.stop(),
      node.services.stop(),
      pods.stop(),
      nodes.stop(),
      waiting.stop(),
    ]);
    node.logs.close();
    await Promise.all([driver.close({ leavesNothing: stopPods }), files.close()]);
  }
}

function folder(parent: string, name: string): string {
  const path = join(parent, name);
  mkdirSync(path, { recursive: true });
  return path;
}
