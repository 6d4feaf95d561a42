import { DeploymentKind } from '../../../api/apps/deployment.ts';
import { apiVersionOf } from '../../../api/kind.ts';
import { siblingKey } from '../../../api/meta.ts';
import { labels } from '../../../api/serving/names.ts';
import { type PodAutoscaler, PodAutoscalerKind } from '../../../api/serving/pod-autoscaler.ts';
import type { Revision } from '../../../api/serving/revision.ts';
import { speaksHttp2 } from './deployment.ts';
import { childLabels, scalingAnnotations } from './metadata.ts';
import { deploymentName, podAutoscalerName } from './names.ts';

/** How the revision's Deployment is to be scaled. */
export function makePodAutoscaler(
  revision: Revision,
  reachability: PodAutoscaler['spec']['reachability'],
): PodAutoscaler {
  const isHttp2 = speaksHttp2(revision);
  return {
    apiVersion: apiVersionOf(PodAutoscalerKind),
    kind: PodAutoscalerKind.kind,
    metadata: {
      ...siblingKey(revision, podAutoscalerName(revision)),
      labels: childLabels(revision),
      annotations: scalingAnnotations(revision),
    },
    spec: {
      containerConcurrency: revision.spec.containerConcurrency ?? 0,
      scaleTargetRef: {
        apiVersion: apiVersionOf(DeploymentKind),
        kind: DeploymentKind.kind,
        name: deploymentName(revision),
      },
      protocolType: isHttp2 ? 'h2c' : 'http1',
      reachability: reachability ?? '',
    },
  };
}

/** A revision that no Route sends to keeps no minimum; a new one may yet be sent to. */
export function reachabilityOf(revision: Revision): PodAutoscaler['spec']['reachability'] {
  const state = revision.metadata.labels?.[labels.routingState];
  if (state === 'active') return 'Reachable';
  return state === 'reserve' ? 'Unreachable' : '';
}
