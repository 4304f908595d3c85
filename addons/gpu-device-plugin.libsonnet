// NVIDIA's device plugin: nodes with GPUs offer nvidia.com/gpu. docs/addons/gpu-device-plugin.md compares it with upstream.
local images = import 'lib/images.libsonnet';
local knobs = import 'lib/knobs.libsonnet';
local kube = import 'lib/kubernetes.libsonnet';
local pods = import 'lib/pods.libsonnet';

local name = 'nvidia-device-plugin';
local namespace = 'gpu-device-plugin';
local key = 'nvidia.com/gpu';

local defaults = {
  // It registers by the kubelet's device plugin API v1beta1, which every supported minor has
  // (https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/).
  image: 'nvcr.io/nvidia/k8s-device-plugin:v0.20.1',
  resources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '256Mi' } },
  // Beyond the taint of nodes with GPUs: those that their pools bear of their own.
  tolerations: [],
  // Settings of the plugin's file of configuration, beyond migStrategy and timeSlices.
  configuration: {},
};

function(cluster, params)
  local config = knobs('gpuDevicePlugin', cluster.addons.gpuDevicePlugin + defaults, params);
  local image = images(cluster, config);
  local slicesCards = config.migStrategy != 'none';
  local settings = kube.configMap(name, namespace, {
    'config.yaml': std.manifestJsonEx({
      version: 'v1',
      flags: { migStrategy: config.migStrategy, failOnInitError: true },
      [if config.timeSlices > 1 then 'sharing']: {
        timeSlicing: { resources: [{ name: key, replicas: config.timeSlices }] },
      },
    } + config.configuration, '  ') + '\n',
  }) + kube.labelled('gpu-device-plugin');
  {
    // hostPath asks for the level privileged.
    namespace: kube.namespace(namespace, 'privileged'),
    denyAll: kube.denyAll(namespace),
    // It never asks the API, so the account has no rights and the pods no token.
    account: kube.serviceAccount(name, namespace),
    configuration: settings,
    daemonSet: kube.workload('DaemonSet', name, namespace, 'gpu-device-plugin') + {
      spec+: {
        updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
        template+: {
          metadata+: { annotations: pods.restartOn(settings) },
          spec+: {
            serviceAccountName: name,
            automountServiceAccountToken: false,
            enableServiceLinks: false,
            priorityClassName: 'system-node-critical',
            // The RuntimeClass is there where one pool or more has runc as its default; every node with GPUs knows the
            // runtime that it leads to.
            [if std.any([!pool.defaultRuntime for pool in cluster.gpuPools]) then 'runtimeClassName']: 'nvidia',
            nodeSelector: pods.linux { [key]: 'true' },
            tolerations: [{ key: key, operator: 'Exists', effect: 'NoSchedule' }] + config.tolerations,
            // The kubelet's folder of sockets belongs to root and is closed to all others.
            securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
            containers: [{
              // What watches over slices of cards is another container to whoever reviews its rights.
              name: if slicesCards then 'device-plugin-mig' else 'device-plugin',
              image: image(config.image),
              command: ['nvidia-device-plugin'],
              env: [
                { name: 'CONFIG_FILE', value: '/config/config.yaml' },
                // nvidia's runtime gives the container every card of the node, and its library to ask them.
                { name: 'NVIDIA_VISIBLE_DEVICES', value: 'all' },
                { name: 'NVIDIA_DRIVER_CAPABILITIES', value: 'compute,utility' },
              ] + (if slicesCards then [{ name: 'NVIDIA_MIG_MONITOR_DEVICES', value: 'all' }] else []),
              resources: config.resources,
              // The runtime refuses the devices by which slices are watched unless the container has CAP_SYS_ADMIN
              // (https://github.com/NVIDIA/nvidia-container-runtime#nvidia_mig_monitor_devices), and the API server
              // refuses CAP_SYS_ADMIN beside allowPrivilegeEscalation: false.
              securityContext: { runAsUser: 0, runAsNonRoot: false } + (
                if slicesCards then {
                  readOnlyRootFilesystem: true,
                  capabilities: { drop: ['ALL'], add: ['SYS_ADMIN'] },
                } else pods.locked
              ),
              volumeMounts: [
                { name: 'config', mountPath: '/config', readOnly: true },
                // It puts its socket here and finds the kubelet's; within the container the path is fixed.
                { name: 'sockets', mountPath: '/var/lib/kubelet/device-plugins' },
              ],
            }],
            volumes: [
              { name: 'config', configMap: { name: name } },
              { name: 'sockets', hostPath: { path: cluster.kubeletDir + '/device-plugins', type: 'Directory' } },
            ],
          },
        },
      },
    },
  }
