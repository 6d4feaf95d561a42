/** What Kubernetes' controller manager does, as far as the platform needs it. */
import type { Controller } from '../../kube/reconciler.ts';
import type { ExpectedPods } from '../expected-pods.ts';
import { claimController } from './claims/claim-controller.ts';
import { localPathClassController } from './claims/local-path.ts';
import { volumeController } from './claims/volume-controller.ts';
import { clusterRoleAggregationController } from './cluster-role/controller.ts';
import { deploymentController } from './deployment/controller.ts';
import { endpointSliceController } from './endpoint-slice/controller.ts';
import { endpointSliceMirroringController } from './endpoint-slice/mirroring.ts';
import { garbageCollector } from './garbage-collector/controller.ts';
import { namespaceController } from './namespace/controller.ts';
import { orphanedPodController } from './orphaned-pods/controller.ts';
import { replicaSetController } from './replica-set/controller.ts';

export interface WorkloadOptions {
  /** The PEM certificates by which pods know the API server; published in each namespace as `kube-root-ca.crt`. */
  rootCa?: string;
  /** Where the data of claims are kept; without it there is nothing to make volumes from. */
  claimsDir?: string;
  /** What ReplicaSets may create that the node has ready. */
  expectedPods?: ExpectedPods;
}

/** Claims, their volumes, and the class that makes some. */
const claimControllers = (dir: string): Controller[] => [
  localPathClassController(),
  claimController(dir) as unknown as Controller,
  volumeController(dir) as unknown as Controller,
];

/** Deployment, ReplicaSet, EndpointSlice, garbage collection, pods without a node, and the life of namespaces. */
export function workloadControllers({ rootCa = '', claimsDir, expectedPods }: WorkloadOptions = {}): Controller[] {
  return [
    deploymentController(),
    replicaSetController(expectedPods),
    endpointSliceController(),
    endpointSliceMirroringController(),
    namespaceController(rootCa),
    orphanedPodController(),
    garbageCollector(),
    clusterRoleAggregationController() as unknown as Controller,
    ...(claimsDir === undefined ? [] : claimControllers(claimsDir)),
  ];
}
