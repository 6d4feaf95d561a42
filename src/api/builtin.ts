import { CustomResourceDefinitionKind } from './apiextensions/custom-resource-definition.ts';
import { DeploymentKind } from './apps/deployment.ts';
import { ReplicaSetKind } from './apps/replica-set.ts';
import { LeaseKind } from './coordination/lease.ts';
import { ConfigMapKind } from './core/config-map.ts';
import { EndpointsKind } from './core/endpoints.ts';
import { EventKind } from './core/event.ts';
import { NamespaceKind } from './core/namespace.ts';
import { NodeKind } from './core/node.ts';
import { PersistentVolumeKind } from './core/persistent-volume.ts';
import { PersistentVolumeClaimKind } from './core/persistent-volume-claim.ts';
import { PodKind } from './core/pod.ts';
import { SecretKind } from './core/secret.ts';
import { CoreServiceKind } from './core/service.ts';
import { ServiceAccountKind } from './core/service-account.ts';
import { EndpointSliceKind } from './discovery/endpoint-slice.ts';
import type { Kind } from './kind.ts';
import { NetworkPolicyKind } from './networking/network-policy.ts';
import { RuntimeClassKind } from './node/runtime-class.ts';
import { ClusterRoleBindingKind, RoleBindingKind } from './rbac/bindings.ts';
import { ClusterRoleKind, RoleKind } from './rbac/roles.ts';
import { StorageClassKind } from './storage/storage-class.ts';

/** The kinds that any Kubernetes has by itself, and that the platform needs. */
export const builtinKinds: readonly Kind[] = [
  NamespaceKind,
  ConfigMapKind,
  SecretKind,
  ServiceAccountKind,
  CoreServiceKind,
  EndpointsKind,
  PodKind,
  NodeKind,
  EventKind,
  DeploymentKind,
  ReplicaSetKind,
  EndpointSliceKind,
  LeaseKind,
  NetworkPolicyKind,
  RuntimeClassKind,
  RoleKind,
  ClusterRoleKind,
  RoleBindingKind,
  ClusterRoleBindingKind,
  StorageClassKind,
  PersistentVolumeKind,
  PersistentVolumeClaimKind,
  CustomResourceDefinitionKind,
];
