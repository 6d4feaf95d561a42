/** The messages of volumes and claims, as protobuf-messages.ts has others. */
export const storageMessages = `
LocalVolumeSource:
  1 path string?, 2 fsType string?
ModifyVolumeStatus:
  1 targetVolumeAttributesClassName string, 2 status string?
PersistentVolume:
  1 metadata ObjectMeta, 2 spec PersistentVolumeSpec, 3 status PersistentVolumeStatus
PersistentVolumeClaim:
  1 metadata ObjectMeta, 2 spec PersistentVolumeClaimSpec, 3 status PersistentVolumeClaimStatus
PersistentVolumeClaimCondition:
  1 type string?, 2 status string?, 3 lastProbeTime Time, 4 lastTransitionTime Time, 5 reason string, 6 message string
PersistentVolumeClaimStatus:
  1 phase string, 2 accessModes string[], 3 capacity map:Quantity, 4 conditions PersistentVolumeClaimCondition[],
  5 allocatedResources map:Quantity, 7 allocatedResourceStatuses map:string,
  8 currentVolumeAttributesClassName string?, 9 modifyVolumeStatus ModifyVolumeStatus?
PersistentVolumeSource:
  3 hostPath HostPathVolumeSource?, 5 nfs NFSVolumeSource?, 20 local LocalVolumeSource?
PersistentVolumeSpec:
  1 capacity map:Quantity, 2 + PersistentVolumeSource, 3 accessModes string[], 4 claimRef ObjectReference?,
  5 persistentVolumeReclaimPolicy string, 6 storageClassName string, 7 mountOptions string[], 8 volumeMode string?,
  9 nodeAffinity VolumeNodeAffinity?, 10 volumeAttributesClassName string?
PersistentVolumeStatus:
  1 phase string, 2 message string, 3 reason string, 4 lastPhaseTransitionTime Time?
StorageClass:
  1 metadata ObjectMeta, 2 provisioner string?, 3 parameters map:string, 4 reclaimPolicy string?,
  5 mountOptions string[], 6 allowVolumeExpansion bool?, 7 volumeBindingMode string?,
  8 allowedTopologies TopologySelectorTerm[]
TopologySelectorLabelRequirement:
  1 key string?, 2 values string[]
TopologySelectorTerm:
  1 matchLabelExpressions TopologySelectorLabelRequirement[]
VolumeNodeAffinity:
  1 required NodeSelector?
`;
