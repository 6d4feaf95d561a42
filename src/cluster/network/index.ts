/** The network of a node's pods, and the addresses of Services. */

export { obstacleToForwarding } from './forwarding.ts';
export { NetworkOfPods } from './network-of-pods.ts';
export { type NetworkPlan, type PlanOptions, planNetwork } from './plan.ts';
export type { HostPort, PodIps, PodNetwork, PodToAttach } from './pod-network.ts';
export { missingForPodNetwork } from './support.ts';
