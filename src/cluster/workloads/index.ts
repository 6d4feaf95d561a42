/** What Kubernetes' controller manager does, as far as the platform needs it. */
import type { Controller } from '../../kube/reconciler.ts';
import { deploymentController } from './deployment/controller.ts';
import { endpointSliceController } from './endpoint-slice/controller.ts';
import { garbageCollector } from './garbage-collector/controller.ts';
import { namespaceController } from './namespace/controller.ts';
import { orphanedPodController } from './orphaned-pods/controller.ts';
import { replicaSetController } from './replica-set/controller.ts';

export interface WorkloadOptions {
  /** The PEM certificates by which pods know the API server; published in each namespace as `kube-root-ca.crt`. */
  rootCa?: string;
}

/** Deployment, ReplicaSet, EndpointSlice, garbage collection, pods without a node, and the life of namespaces. */
export function workloadControllers({ rootCa = '' }: WorkloadOptions = {}): Controller[] {
  return [
    deploymentController(),
    replicaSetController(),
    endpointSliceController(),
    namespaceController(rootCa),
    orphanedPodController(),
    garbageCollector(),
  ];
}
