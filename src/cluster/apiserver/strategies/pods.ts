import { isPodTerminal, type Pod, PodKind, qosClassOf } from '../../../api/core/pod.ts';
import type { PodLogs } from '../../pod-logs.ts';
import { table } from '../http/table/column.ts';
import type { Strategy } from '../strategy.ts';
import { ephemeralContainers, requireSameEphemeralContainers } from './ephemeral-containers.ts';
import { servePodLog } from './pod-log.ts';
import { readinessGates, summarizePod } from './pod-status.ts';
import { type PodStreamsOptions, podStreamSubresources } from './pod-streams.ts';

/** As Kubernetes has it, for a pod that does not say. */
const graceSeconds = 30;

export interface PodsOptions extends PodStreamsOptions {
  /** Where the logs come from; without it there are none. */
  podLogs: PodLogs | undefined;
}

export const pods = (options: PodsOptions): Strategy<Pod> => ({
  kind: PodKind,
  selectableFields: {
    'spec.nodeName': '',
    'spec.restartPolicy': '',
    'spec.schedulerName': '',
    'spec.serviceAccountName': '',
    'spec.hostNetwork': 'false',
    'status.phase': '',
    'status.podIP': '',
    'status.nominatedNodeName': '',
  },
  returnsDeleted: true,
  /** Which node runs it is not its author's wish. */
  wishOf: ({ spec }) => ({ ...spec, nodeName: undefined }),
  columns: table<Pod>({
    Ready: (pod, nowMs) => summarizePod(pod, nowMs).ready,
    Status: (pod, nowMs) => summarizePod(pod, nowMs).status,
    Restarts: (pod, nowMs) => summarizePod(pod, nowMs).restarts,
    '+IP': (pod) => pod.status?.podIP,
    '+Node': (pod) => pod.spec.nodeName,
    '+Nominated Node': (pod) => pod.status?.nominatedNodeName,
    '+Readiness Gates': (pod) => readinessGates(pod),
  }),
  prepareForUpdate: requireSameEphemeralContainers,
  prepareForCreate(pod) {
    pod.status = { phase: 'Pending', qosClass: qosClassOf(pod.spec) };
  },
  /** None for those that no node has or that have ended. Repeated deletes only shorten it. */
  graceOf(pod, deletion) {
    if (!pod.spec?.nodeName || isPodTerminal(pod)) return 0;
    const { deletionTimestamp, deletionGracePeriodSeconds: before = 0 } = pod.metadata;
    const own = pod.spec.terminationGracePeriodSeconds ?? graceSeconds;
    if (deletionTimestamp === undefined) return Math.max(0, deletion.gracePeriodSeconds ?? own);
    return Math.max(0, Math.min(before, deletion.gracePeriodSeconds ?? before));
  },
  subresources: {
    log: { type: 'stream', verbs: ['get'], serve: (request) => servePodLog(request, options.podLogs) },
    ephemeralcontainers: ephemeralContainers,
    ...podStreamSubresources(options),
  },
});
