/**
 * The protobuf messages that clients of built-in kinds send (field numbers of Kubernetes' `k8s.io/api` types). Each
 * field is its number, its name in JSON (`+`: its fields belong to the message around it) and its type: a scalar, a
 * message, or one of the types with a JSON form of their own; `[]` repeats, `map:` has string keys, `?` is kept when
 * it is zero.
 */
export const protobufMessages = `
Affinity:
  1 nodeAffinity NodeAffinity?, 2 podAffinity PodAffinity?, 3 podAntiAffinity PodAntiAffinity?
AppArmorProfile:
  1 type string?, 2 localhostProfile string?
CSIVolumeSource:
  1 driver string?, 2 readOnly bool?, 3 fsType string?, 4 volumeAttributes map:string,
  5 nodePublishSecretRef LocalObjectReference?
Capabilities:
  1 add string[], 2 drop string[]
ClientIPConfig:
  1 timeoutSeconds int?
ClusterTrustBundleProjection:
  1 name string?, 2 signerName string?, 3 labelSelector LabelSelector?, 4 path string?, 5 optional bool?, 6 user int?
Condition:
  1 type string?, 2 status string?, 3 observedGeneration int, 4 lastTransitionTime Time, 5 reason string?,
  6 message string?
ConfigMap:
  1 metadata ObjectMeta, 2 data map:string, 3 binaryData map:bytes, 4 immutable bool?
ConfigMapEnvSource:
  1 + LocalObjectReference, 2 optional bool?
ConfigMapKeySelector:
  1 + LocalObjectReference, 2 key string?, 3 optional bool?
ConfigMapProjection:
  1 + LocalObjectReference, 2 items KeyToPath[], 4 optional bool?
ConfigMapVolumeSource:
  1 + LocalObjectReference, 2 items KeyToPath[], 3 defaultMode int?, 4 optional bool?, 5 defaultUser int?
Container:
  1 name string?, 2 image string, 3 command string[], 4 args string[], 5 workingDir string, 6 ports ContainerPort[],
  7 env EnvVar[], 8 resources ResourceRequirements, 9 volumeMounts VolumeMount[], 10 livenessProbe Probe?,
  11 readinessProbe Probe?, 12 lifecycle Lifecycle?, 13 terminationMessagePath string, 14 imagePullPolicy string,
  15 securityContext SecurityContext?, 16 stdin bool, 17 stdinOnce bool, 18 tty bool, 19 envFrom EnvFromSource[],
  20 terminationMessagePolicy string, 21 volumeDevices VolumeDevice[], 22 startupProbe Probe?,
  23 resizePolicy ContainerResizePolicy[], 24 restartPolicy string?, 25 restartPolicyRules ContainerRestartRule[]
ContainerExtendedResourceRequest:
  1 containerName string?, 2 resourceName string?, 3 requestName string?
ContainerPort:
  1 name string, 2 hostPort int, 3 containerPort int?, 4 protocol string, 5 hostIP string
ContainerResizePolicy:
  1 resourceName string?, 2 restartPolicy string?
ContainerRestartRule:
  1 action string, 2 exitCodes ContainerRestartRuleOnExitCodes?
ContainerRestartRuleOnExitCodes:
  1 operator string, 2 values int[]
ContainerState:
  1 waiting ContainerStateWaiting?, 2 running ContainerStateRunning?, 3 terminated ContainerStateTerminated?
ContainerStateRunning:
  1 startedAt Time
ContainerStateTerminated:
  1 exitCode int?, 2 signal int, 3 reason string, 4 message string, 5 startedAt Time, 6 finishedAt Time,
  7 containerID string
ContainerStateWaiting:
  1 reason string, 2 message string
ContainerStatus:
  1 name string?, 2 state ContainerState, 3 lastState ContainerState, 4 ready bool?, 5 restartCount int?,
  6 image string?, 7 imageID string?, 8 containerID string, 9 started bool?, 10 allocatedResources map:Quantity,
  11 resources ResourceRequirements?, 12 volumeMounts VolumeMountStatus[], 13 user ContainerUser?,
  14 allocatedResourcesStatus ResourceStatus[], 15 stopSignal string?
ContainerUser:
  1 linux LinuxContainerUser?
DeleteOptions:
  1 gracePeriodSeconds int?, 2 preconditions Preconditions?, 3 orphanDependents bool?, 4 propagationPolicy string?,
  5 dryRun string[], 6 ignoreStoreReadErrorWithClusterBreakingPotential bool?
Deployment:
  1 metadata ObjectMeta, 2 spec DeploymentSpec, 3 status DeploymentStatus
DeploymentCondition:
  1 type string?, 2 status string?, 4 reason string, 5 message string, 6 lastUpdateTime Time,
  7 lastTransitionTime Time
DeploymentSpec:
  1 replicas int?, 2 selector LabelSelector?, 3 template PodTemplateSpec, 4 strategy DeploymentStrategy,
  5 minReadySeconds int, 6 revisionHistoryLimit int?, 7 paused bool, 9 progressDeadlineSeconds int?
DeploymentStatus:
  1 observedGeneration int, 2 replicas int, 3 updatedReplicas int, 4 availableReplicas int, 5 unavailableReplicas int,
  6 conditions DeploymentCondition[], 7 readyReplicas int, 8 collisionCount int?, 9 terminatingReplicas int?
DeploymentStrategy:
  1 type string, 2 rollingUpdate RollingUpdateDeployment?
DownwardAPIProjection:
  1 items DownwardAPIVolumeFile[]
DownwardAPIVolumeFile:
  1 path string?, 2 fieldRef ObjectFieldSelector?, 3 resourceFieldRef ResourceFieldSelector?, 4 mode int?, 5 user int?
DownwardAPIVolumeSource:
  1 items DownwardAPIVolumeFile[], 2 defaultMode int?, 3 defaultUser int?
EmptyDirVolumeSource:
  1 medium string, 2 sizeLimit Quantity?, 3 mode int?
Endpoint:
  1 addresses string[], 2 conditions EndpointConditions, 3 hostname string?, 4 targetRef ObjectReference?,
  5 deprecatedTopology map:string, 6 nodeName string?, 7 zone string?, 8 hints EndpointHints?
EndpointAddress:
  1 ip string?, 2 targetRef ObjectReference?, 3 hostname string, 4 nodeName string?
EndpointConditions:
  1 ready bool?, 2 serving bool?, 3 terminating bool?
EndpointHints:
  1 forZones ForZone[], 2 forNodes ForNode[]
SliceEndpointPort:
  1 name string?, 2 protocol string?, 3 port int?, 4 appProtocol string?
EndpointPort:
  1 name string, 2 port int?, 3 protocol string, 4 appProtocol string?
EndpointSlice:
  1 metadata ObjectMeta, 2 endpoints Endpoint[], 3 ports SliceEndpointPort[], 4 addressType string?
EndpointSubset:
  1 addresses EndpointAddress[], 2 notReadyAddresses EndpointAddress[], 3 ports EndpointPort[]
Endpoints:
  1 metadata ObjectMeta, 2 subsets EndpointSubset[]
EnvFromSource:
  1 prefix string, 2 configMapRef ConfigMapEnvSource?, 3 secretRef SecretEnvSource?
EnvVar:
  1 name string?, 2 value string, 3 valueFrom EnvVarSource?
EnvVarSource:
  1 fieldRef ObjectFieldSelector?, 2 resourceFieldRef ResourceFieldSelector?, 3 configMapKeyRef ConfigMapKeySelector?,
  4 secretKeyRef SecretKeySelector?, 5 fileKeyRef FileKeySelector?
EphemeralContainer:
  1 + EphemeralContainerCommon, 2 targetContainerName string
EphemeralContainerCommon:
  1 name string?, 2 image string, 3 command string[], 4 args string[], 5 workingDir string, 6 ports ContainerPort[],
  7 env EnvVar[], 8 resources ResourceRequirements, 9 volumeMounts VolumeMount[], 10 livenessProbe Probe?,
  11 readinessProbe Probe?, 12 lifecycle Lifecycle?, 13 terminationMessagePath string, 14 imagePullPolicy string,
  15 securityContext SecurityContext?, 16 stdin bool, 17 stdinOnce bool, 18 tty bool, 19 envFrom EnvFromSource[],
  20 terminationMessagePolicy string, 21 volumeDevices VolumeDevice[], 22 startupProbe Probe?,
  23 resizePolicy ContainerResizePolicy[], 24 restartPolicy string?, 25 restartPolicyRules ContainerRestartRule[]
EphemeralVolumeSource:
  1 volumeClaimTemplate PersistentVolumeClaimTemplate?
Event:
  1 metadata ObjectMeta, 2 involvedObject ObjectReference, 3 reason string, 4 message string, 5 source EventSource,
  6 firstTimestamp Time, 7 lastTimestamp Time, 8 count int, 9 type string, 10 eventTime MicroTime,
  11 series EventSeries?, 12 action string, 13 related ObjectReference?, 14 reportingComponent string?,
  15 reportingInstance string?
EventSeries:
  1 count int, 2 lastObservedTime MicroTime
EventSource:
  1 component string, 2 host string
EvictionResponder:
  1 name string?, 2 priority int?
ExecAction:
  1 command string[]
FileKeySelector:
  1 volumeName string?, 2 path string?, 3 key string?, 4 optional bool?
ForNode:
  1 name string?
ForZone:
  1 name string?
GRPCAction:
  1 port int?, 2 service string?, 3 mode string?
HTTPGetAction:
  1 path string, 2 port IntOrString, 3 host string, 4 scheme string, 5 httpHeaders HTTPHeader[], 6 protocol string?
HTTPHeader:
  1 name string?, 2 value string?
HostAlias:
  1 ip string?, 2 hostnames string[]
HostIP:
  1 ip string?
HostPathVolumeSource:
  1 path string?, 2 type string?
ImageVolumeSource:
  1 reference string, 2 pullPolicy string
ImageVolumeStatus:
  1 imageRef string
KeyToPath:
  1 key string?, 2 path string?, 3 mode int?, 4 user int?
LabelSelector:
  1 matchLabels map:string, 2 matchExpressions LabelSelectorRequirement[]
LabelSelectorRequirement:
  1 key string?, 2 operator string?, 3 values string[]
Lease:
  1 metadata ObjectMeta, 2 spec LeaseSpec
LeaseSpec:
  1 holderIdentity string?, 2 leaseDurationSeconds int?, 3 acquireTime MicroTime?, 4 renewTime MicroTime?,
  5 leaseTransitions int?, 6 strategy string?, 7 preferredHolder string?
Lifecycle:
  1 postStart LifecycleHandler?, 2 preStop LifecycleHandler?, 3 stopSignal string?
LifecycleHandler:
  1 exec ExecAction?, 2 httpGet HTTPGetAction?, 3 tcpSocket TCPSocketAction?, 4 sleep SleepAction?
LinuxContainerUser:
  1 uid int?, 2 gid int?, 3 supplementalGroups int[]
LoadBalancerIngress:
  1 ip string, 2 hostname string, 3 ipMode string?, 4 ports PortStatus[]
LoadBalancerStatus:
  1 ingress LoadBalancerIngress[]
LocalObjectReference:
  1 name string
ManagedFieldsEntry:
  1 manager string, 2 operation string, 3 apiVersion string, 4 time Time?, 6 fieldsType string, 7 fieldsV1 Raw?,
  8 subresource string
NFSVolumeSource:
  1 server string?, 2 path string?, 3 readOnly bool
Namespace:
  1 metadata ObjectMeta, 2 spec NamespaceSpec, 3 status NamespaceStatus
NamespaceCondition:
  1 type string?, 2 status string?, 4 lastTransitionTime Time, 5 reason string, 6 message string
NamespaceSpec:
  1 finalizers string[]
NamespaceStatus:
  1 phase string, 2 conditions NamespaceCondition[]
NodeAffinity:
  1 requiredDuringSchedulingIgnoredDuringExecution NodeSelector?,
  2 preferredDuringSchedulingIgnoredDuringExecution PreferredSchedulingTerm[]
NodeAllocatableMappedResources:
  1 name string?, 2 quantity Quantity?
NodeAllocatableOverheadResources:
  1 name string?, 2 perPod Quantity?, 3 perContainer Quantity?
NodeAllocatableResourceClaimStatus:
  1 resourceClaimName string?, 2 containers string[], 4 mapping NodeAllocatableMappedResources[],
  5 overhead NodeAllocatableOverheadResources[]
NodeSelector:
  1 nodeSelectorTerms NodeSelectorTerm[]
NodeSelectorRequirement:
  1 key string?, 2 operator string?, 3 values string[]
NodeSelectorTerm:
  1 matchExpressions NodeSelectorRequirement[], 2 matchFields NodeSelectorRequirement[]
ObjectFieldSelector:
  1 apiVersion string, 2 fieldPath string?
ObjectMeta:
  1 name string, 2 generateName string, 3 namespace string, 4 selfLink string, 5 uid string, 6 resourceVersion string,
  7 generation int, 8 creationTimestamp Time, 9 deletionTimestamp Time?, 10 deletionGracePeriodSeconds int?,
  11 labels map:string, 12 annotations map:string, 13 ownerReferences OwnerReference[], 14 finalizers string[],
  17 managedFields ManagedFieldsEntry[]
ObjectReference:
  1 kind string, 2 namespace string, 3 name string, 4 uid string, 5 apiVersion string, 6 resourceVersion string,
  7 fieldPath string
OwnerReference:
  1 kind string?, 3 name string?, 4 uid string?, 5 apiVersion string?, 6 controller bool?, 7 blockOwnerDeletion bool?
PersistentVolumeClaimSpec:
  1 accessModes string[], 2 resources VolumeResourceRequirements, 3 volumeName string, 4 selector LabelSelector?,
  5 storageClassName string?, 6 volumeMode string?, 7 dataSource TypedLocalObjectReference?,
  8 dataSourceRef TypedObjectReference?, 9 volumeAttributesClassName string?
PersistentVolumeClaimTemplate:
  1 metadata ObjectMeta, 2 spec PersistentVolumeClaimSpec
PersistentVolumeClaimVolumeSource:
  1 claimName string?, 2 readOnly bool
Pod:
  1 metadata ObjectMeta, 2 spec PodSpec, 3 status PodStatus
PodAffinity:
  1 requiredDuringSchedulingIgnoredDuringExecution PodAffinityTerm[],
  2 preferredDuringSchedulingIgnoredDuringExecution WeightedPodAffinityTerm[]
PodAffinityTerm:
  1 labelSelector LabelSelector?, 2 namespaces string[], 3 topologyKey string?, 4 namespaceSelector LabelSelector?,
  5 matchLabelKeys string[], 6 mismatchLabelKeys string[]
PodAntiAffinity:
  1 requiredDuringSchedulingIgnoredDuringExecution PodAffinityTerm[],
  2 preferredDuringSchedulingIgnoredDuringExecution WeightedPodAffinityTerm[]
PodCertificateProjection:
  1 signerName string, 2 keyType string, 3 maxExpirationSeconds int?, 4 credentialBundlePath string, 5 keyPath string,
  6 certificateChainPath string, 7 userAnnotations map:string, 8 user int?
PodCondition:
  1 type string?, 2 status string?, 3 lastProbeTime Time, 4 lastTransitionTime Time, 5 reason string,
  6 message string, 7 observedGeneration int
PodDNSConfig:
  1 nameservers string[], 2 searches string[], 3 options PodDNSConfigOption[]
PodDNSConfigOption:
  1 name string, 2 value string?
PodExtendedResourceClaimStatus:
  1 requestMappings ContainerExtendedResourceRequest[], 2 resourceClaimName string?
PodIP:
  1 ip string?
PodOS:
  1 name string?
PodReadinessGate:
  1 conditionType string?
PodResourceClaim:
  1 name string?, 3 resourceClaimName string?, 4 resourceClaimTemplateName string?
PodResourceClaimStatus:
  1 name string?, 2 resourceClaimName string?
PodSchedulingGate:
  1 name string?
PodSchedulingGroup:
  1 podGroupName string?
PodSecurityContext:
  1 seLinuxOptions SELinuxOptions?, 2 runAsUser int?, 3 runAsNonRoot bool?, 4 supplementalGroups int[],
  5 fsGroup int?, 6 runAsGroup int?, 7 sysctls Sysctl[], 8 windowsOptions WindowsSecurityContextOptions?,
  9 fsGroupChangePolicy string?, 10 seccompProfile SeccompProfile?, 11 appArmorProfile AppArmorProfile?,
  12 supplementalGroupsPolicy string?, 13 seLinuxChangePolicy string?
PodSpec:
  1 volumes Volume[], 2 containers Container[], 3 restartPolicy string, 4 terminationGracePeriodSeconds int?,
  5 activeDeadlineSeconds int?, 6 dnsPolicy string, 7 nodeSelector map:string, 8 serviceAccountName string,
  9 serviceAccount string, 10 nodeName string, 11 hostNetwork bool, 12 hostPID bool, 13 hostIPC bool,
  14 securityContext PodSecurityContext?, 15 imagePullSecrets LocalObjectReference[], 16 hostname string,
  17 subdomain string, 18 affinity Affinity?, 19 schedulerName string, 20 initContainers Container[],
  21 automountServiceAccountToken bool?, 22 tolerations Toleration[], 23 hostAliases HostAlias[],
  24 priorityClassName string, 25 priority int?, 26 dnsConfig PodDNSConfig?, 27 shareProcessNamespace bool?,
  28 readinessGates PodReadinessGate[], 29 runtimeClassName string?, 30 enableServiceLinks bool?,
  31 preemptionPolicy string?, 32 overhead map:Quantity, 33 topologySpreadConstraints TopologySpreadConstraint[],
  34 ephemeralContainers EphemeralContainer[], 35 setHostnameAsFQDN bool?, 36 os PodOS?, 37 hostUsers bool?,
  38 schedulingGates PodSchedulingGate[], 39 resourceClaims PodResourceClaim[], 40 resources ResourceRequirements?,
  41 hostnameOverride string?, 43 schedulingGroup PodSchedulingGroup?, 44 evictionResponders EvictionResponder[]
PodStatus:
  1 phase string, 2 conditions PodCondition[], 3 message string, 4 reason string, 5 hostIP string, 6 podIP string,
  7 startTime Time?, 8 containerStatuses ContainerStatus[], 9 qosClass string,
  10 initContainerStatuses ContainerStatus[], 11 nominatedNodeName string, 12 podIPs PodIP[],
  13 ephemeralContainerStatuses ContainerStatus[], 14 resize string,
  15 resourceClaimStatuses PodResourceClaimStatus[], 16 hostIPs HostIP[], 17 observedGeneration int,
  18 extendedResourceClaimStatus PodExtendedResourceClaimStatus?, 19 allocatedResources map:Quantity,
  20 resources ResourceRequirements?, 21 nodeAllocatableResourceClaimStatuses NodeAllocatableResourceClaimStatus[],
  22 volumeHealth PodVolumeHealth[]
PodTemplateSpec:
  1 metadata ObjectMeta, 2 spec PodSpec
PodVolumeHealth:
  1 name string?, 2 healthConditions VolumeHealthCondition[], 3 lastTransitionTime Time
PortStatus:
  1 port int?, 2 protocol string?, 3 error string?
Preconditions:
  1 uid string?, 2 resourceVersion string?
PreferredSchedulingTerm:
  1 weight int?, 2 preference NodeSelectorTerm
Probe:
  1 + ProbeHandler, 2 initialDelaySeconds int, 3 timeoutSeconds int, 4 periodSeconds int, 5 successThreshold int,
  6 failureThreshold int, 7 terminationGracePeriodSeconds int?
ProbeHandler:
  1 exec ExecAction?, 2 httpGet HTTPGetAction?, 3 tcpSocket TCPSocketAction?, 4 grpc GRPCAction?
ProjectedVolumeSource:
  1 sources VolumeProjection[], 2 defaultMode int?, 3 defaultUser int?
ReplicaSet:
  1 metadata ObjectMeta, 2 spec ReplicaSetSpec, 3 status ReplicaSetStatus
ReplicaSetCondition:
  1 type string?, 2 status string?, 3 lastTransitionTime Time, 4 reason string, 5 message string
ReplicaSetSpec:
  1 replicas int?, 2 selector LabelSelector?, 3 template PodTemplateSpec, 4 minReadySeconds int
ReplicaSetStatus:
  1 replicas int?, 2 fullyLabeledReplicas int, 3 observedGeneration int, 4 readyReplicas int, 5 availableReplicas int,
  6 conditions ReplicaSetCondition[], 7 terminatingReplicas int?
ResourceClaim:
  1 name string?, 2 request string
ResourceFieldSelector:
  1 containerName string, 2 resource string?, 3 divisor Quantity
ResourceHealth:
  1 resourceID string?, 2 health string, 6 message string?
ResourceRequirements:
  1 limits map:Quantity, 2 requests map:Quantity, 3 claims ResourceClaim[]
ResourceStatus:
  1 name string?, 2 resources ResourceHealth[]
RollingUpdateDeployment:
  1 maxUnavailable IntOrString?, 2 maxSurge IntOrString?
RuntimeClass:
  1 metadata ObjectMeta, 2 handler string?, 3 overhead RuntimeClassOverhead?, 4 scheduling RuntimeClassScheduling?
RuntimeClassOverhead:
  1 podFixed map:Quantity
RuntimeClassScheduling:
  1 nodeSelector map:string, 2 tolerations Toleration[]
SELinuxOptions:
  1 user string, 2 role string, 3 type string, 4 level string
Scale:
  1 metadata ObjectMeta, 2 spec ScaleSpec, 3 status ScaleStatus
ScaleSpec:
  1 replicas int?
ScaleStatus:
  1 replicas int?, 2 selector string
SeccompProfile:
  1 type string?, 2 localhostProfile string?
Secret:
  1 metadata ObjectMeta, 2 data map:bytes, 3 type string, 4 stringData map:string, 5 immutable bool?
SecretEnvSource:
  1 + LocalObjectReference, 2 optional bool?
SecretKeySelector:
  1 + LocalObjectReference, 2 key string?, 3 optional bool?
SecretProjection:
  1 + LocalObjectReference, 2 items KeyToPath[], 4 optional bool?
SecretVolumeSource:
  1 secretName string, 2 items KeyToPath[], 3 defaultMode int?, 4 optional bool?, 5 defaultUser int?
SecurityContext:
  1 capabilities Capabilities?, 2 privileged bool?, 3 seLinuxOptions SELinuxOptions?, 4 runAsUser int?,
  5 runAsNonRoot bool?, 6 readOnlyRootFilesystem bool?, 7 allowPrivilegeEscalation bool?, 8 runAsGroup int?,
  9 procMount string?, 10 windowsOptions WindowsSecurityContextOptions?, 11 seccompProfile SeccompProfile?,
  12 appArmorProfile AppArmorProfile?
Service:
  1 metadata ObjectMeta, 2 spec ServiceSpec, 3 status ServiceStatus
ServiceAccount:
  1 metadata ObjectMeta, 2 secrets ObjectReference[], 3 imagePullSecrets LocalObjectReference[],
  4 automountServiceAccountToken bool?
ServiceAccountTokenProjection:
  1 audience string, 2 expirationSeconds int?, 3 path string?, 4 user int?
ServicePort:
  1 name string, 2 protocol string, 3 port int?, 4 targetPort IntOrString, 5 nodePort int, 6 appProtocol string?
ServiceSpec:
  1 ports ServicePort[], 2 selector map:string, 3 clusterIP string, 4 type string, 5 externalIPs string[],
  7 sessionAffinity string, 8 loadBalancerIP string, 9 loadBalancerSourceRanges string[], 10 externalName string,
  11 externalTrafficPolicy string, 12 healthCheckNodePort int, 13 publishNotReadyAddresses bool,
  14 sessionAffinityConfig SessionAffinityConfig?, 17 ipFamilyPolicy string?, 18 clusterIPs string[],
  19 ipFamilies string[], 20 allocateLoadBalancerNodePorts bool?, 21 loadBalancerClass string?,
  22 internalTrafficPolicy string?, 23 trafficDistribution string?
ServiceStatus:
  1 loadBalancer LoadBalancerStatus, 2 conditions Condition[]
SessionAffinityConfig:
  1 clientIP ClientIPConfig?
SleepAction:
  1 seconds int?
Sysctl:
  1 name string?, 2 value string?
TCPSocketAction:
  1 port IntOrString, 2 host string
Toleration:
  1 key string, 2 operator string, 3 value string, 4 effect string, 5 tolerationSeconds int?
TopologySpreadConstraint:
  1 maxSkew int?, 2 topologyKey string?, 3 whenUnsatisfiable string?, 4 labelSelector LabelSelector?,
  5 minDomains int?, 6 nodeAffinityPolicy string?, 7 nodeTaintsPolicy string?, 8 matchLabelKeys string[]
TypedLocalObjectReference:
  1 apiGroup string?, 2 kind string?, 3 name string?
TypedObjectReference:
  1 apiGroup string?, 2 kind string?, 3 name string?, 4 namespace string?
Volume:
  1 name string?, 2 + VolumeSource
VolumeDevice:
  1 name string?, 2 devicePath string?
VolumeHealthCondition:
  1 status string?, 2 reason string?, 3 message string
VolumeMount:
  1 name string?, 2 readOnly bool, 3 mountPath string?, 4 subPath string, 5 mountPropagation string?,
  6 subPathExpr string, 7 recursiveReadOnly string?, 8 bindMountOptions string[]
VolumeMountStatus:
  1 name string?, 2 mountPath string?, 3 readOnly bool, 4 recursiveReadOnly string?, 5 volumeStatus VolumeStatus?
VolumeProjection:
  1 secret SecretProjection?, 2 downwardAPI DownwardAPIProjection?, 3 configMap ConfigMapProjection?,
  4 serviceAccountToken ServiceAccountTokenProjection?, 5 clusterTrustBundle ClusterTrustBundleProjection?,
  6 podCertificate PodCertificateProjection?
VolumeResourceRequirements:
  1 limits map:Quantity, 2 requests map:Quantity
VolumeSource:
  1 hostPath HostPathVolumeSource?, 2 emptyDir EmptyDirVolumeSource?, 6 secret SecretVolumeSource?,
  7 nfs NFSVolumeSource?, 10 persistentVolumeClaim PersistentVolumeClaimVolumeSource?,
  16 downwardAPI DownwardAPIVolumeSource?, 19 configMap ConfigMapVolumeSource?, 26 projected ProjectedVolumeSource?,
  28 csi CSIVolumeSource?, 29 ephemeral EphemeralVolumeSource?, 30 image ImageVolumeSource?
VolumeStatus:
  1 image ImageVolumeStatus?
WeightedPodAffinityTerm:
  1 weight int?, 2 podAffinityTerm PodAffinityTerm
WindowsSecurityContextOptions:
  1 gmsaCredentialSpecName string?, 2 gmsaCredentialSpec string?, 3 runAsUserName string?, 4 hostProcess bool?
`;
