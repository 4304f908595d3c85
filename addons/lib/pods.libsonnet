// How the pods of addons are locked in and where they run.
local versions = import 'versions.libsonnet';
{
  // Of a container: it gets no right that its image or its user could take up.
  locked:: {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  },
  // Of a pod: everything in it runs as one user that is not root, and its volumes belong to that user.
  nonRoot(uid):: {
    runAsNonRoot: true,
    runAsUser: uid,
    runAsGroup: uid,
    fsGroup: uid,
    seccompProfile: { type: 'RuntimeDefault' },
  },
  // Control-plane nodes bear the taint `master` as well below 1.25
  // (https://kubernetes.io/docs/reference/labels-annotations-taints/#node-role-kubernetes-io-control-plane-taint).
  onControlPlane(minor):: [
    { key: 'node-role.kubernetes.io/' + role, operator: 'Exists', effect: 'NoSchedule' }
    for role in ['control-plane'] + (if versions.atLeast(minor, 25) then [] else ['master'])
  ],
  everywhere:: [{ operator: 'Exists' }],
  linux:: { 'kubernetes.io/os': 'linux' },
  // Pods with these labels rather run on different nodes than on one.
  apart(labels):: {
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [{
        weight: 100,
        podAffinityTerm: { labelSelector: { matchLabels: labels }, topologyKey: 'kubernetes.io/hostname' },
      }],
    },
  },
  // Annotations of a pod template: when the ConfigMap changes, so does the template, and the pods are replaced.
  restartOn(configMap):: { 'slipway.io/config': std.substr(std.md5(std.manifestJsonMinified(configMap.data)), 0, 16) },
}
