// By which name pods ask for a runtime that is not the default of its nodes.
// A pod of the class runs on nodes with GPUs only, since no other containerd knows the runtime, and bears their taint
// (https://kubernetes.io/docs/concepts/containers/runtime-class/).
local key = 'nvidia.com/gpu';

function(params) {
  nvidia: {
    apiVersion: 'node.k8s.io/v1',
    kind: 'RuntimeClass',
    metadata: { name: 'nvidia' },
    handler: 'nvidia',
    scheduling: {
      nodeSelector: { [key]: 'true' },
      [if std.any([pool.taint for pool in params.gpuPools]) then 'tolerations']: [
        { key: key, operator: 'Exists', effect: 'NoSchedule' },
      ],
    },
  },
}
