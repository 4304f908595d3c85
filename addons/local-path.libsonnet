// Rancher's local path provisioner: a volume is a folder on the disk of the node where its first pod runs, and stays there.
// docs/addons/local-path.md compares it with upstream.
local images = import 'lib/images.libsonnet';
local knobs = import 'lib/knobs.libsonnet';
local kube = import 'lib/kubernetes.libsonnet';
local policies = import 'lib/network-policies.libsonnet';
local pods = import 'lib/pods.libsonnet';

local name = 'local-path-provisioner';
local namespace = 'local-path-storage';
local provisioner = 'rancher.io/local-path';
local settings = 'local-path-config';

local defaults = {
  image: 'docker.io/rancher/local-path-provisioner:v0.0.35',
  // Of the pods that make and remove folders on nodes: it needs sh, mkdir, chmod and rm.
  helperImage: 'docker.io/library/busybox:1.36.1',
  resources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { memory: '128Mi' } },
  helperResources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { memory: '64Mi' } },
  // Seconds that a helper pod is waited for.
  helperSeconds: 120,
  // Folders of single nodes in place of `path`: { 'node-1': ['/srv/fast'], … }; an empty list takes a node out.
  nodePaths: {},
  extraArgs: [],
};

// $VOL_DIR is the folder of the volume. The one above it is shut for users of the node, since the volume's own is open
// to whatever user a pod has.
local setup = |||
  #!/bin/sh
  set -eu
  umask 077
  chmod 0700 "$(dirname "$VOL_DIR")"
  mkdir -p "$VOL_DIR"
  chmod 0777 "$VOL_DIR"
|||;
local teardown = |||
  #!/bin/sh
  set -eu
  rm -rf "$VOL_DIR"
|||;

function(cluster, params)
  local config = knobs('localPath', cluster.addons.localPath + defaults, params);
  local image = images(cluster, config);
  local account = kube.account(name, namespace);
  local helper = kube.object('v1', 'Pod', 'helper-pod') + kube.labelled('local-path', 'helper') + {
    spec: {
      automountServiceAccountToken: false,
      priorityClassName: 'system-node-critical',
      tolerations: pods.everywhere,
      securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
      containers: [{
        name: 'helper-pod',
        image: image(config.helperImage),
        imagePullPolicy: 'IfNotPresent',
        resources: config.helperResources,
        // Root, since the folders are root's; and it removes files of whatever user a pod had.
        securityContext: pods.locked {
          runAsUser: 0,
          capabilities: { drop: ['ALL'], add: ['DAC_OVERRIDE', 'FOWNER'] },
        },
      }],
    },
  };
  local configuration = kube.configMap(settings, namespace, {
    'config.json': std.manifestJsonEx({
      nodePathMap: [{ node: 'DEFAULT_PATH_FOR_NON_LISTED_NODES', paths: [config.path] }] + [
        { node: node, paths: config.nodePaths[node] }
        for node in std.objectFields(config.nodePaths)
      ],
      cmdTimeoutSeconds: config.helperSeconds,
    }, '  ') + '\n',
    setup: setup,
    teardown: teardown,
    'helperPod.yaml': std.manifestJsonEx(helper, '  ') + '\n',
  }) + kube.labelled('local-path');
  {
    // Helper pods mount a folder of their node.
    namespace: kube.namespace(namespace, 'privileged'),
    denyAll: kube.denyAll(namespace),
    allowApi: policies.toApi(cluster, namespace, { matchLabels: kube.selector('local-path', 'provisioner') }),
    account: kube.serviceAccount(name, namespace) + kube.labelled('local-path'),
    role: kube.clusterRole(name, [
      { apiGroups: [''], resources: ['nodes', 'persistentvolumeclaims'], verbs: ['get', 'list', 'watch'] },
      {
        apiGroups: [''],
        resources: ['persistentvolumes'],
        verbs: ['get', 'list', 'watch', 'create', 'patch', 'update', 'delete'],
      },
      { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
      { apiGroups: ['storage.k8s.io'], resources: ['storageclasses'], verbs: ['get', 'list', 'watch'] },
    ]) + kube.labelled('local-path'),
    binding: kube.clusterRoleBinding(name, name, [account]) + kube.labelled('local-path'),
    helperRole: kube.role(name, namespace, [
      { apiGroups: [''], resources: ['pods'], verbs: ['get', 'create', 'delete'] },
      { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] },
      { apiGroups: [''], resources: ['configmaps'], resourceNames: [settings], verbs: ['get'] },
    ]) + kube.labelled('local-path'),
    helperBinding: kube.roleBinding(name, namespace, name, [account]) + kube.labelled('local-path'),
    configuration: configuration,
    class: kube.object('storage.k8s.io/v1', 'StorageClass', 'local-path') + kube.labelled('local-path') + {
      metadata+: {
        [if config.defaultClass then 'annotations']: { 'storageclass.kubernetes.io/is-default-class': 'true' },
      },
      provisioner: provisioner,
      // The folder is made where the pod is put, and not the other way round.
      volumeBindingMode: 'WaitForFirstConsumer',
      reclaimPolicy: config.reclaimPolicy,
    },
    deployment: kube.workload('Deployment', name, namespace, 'local-path', 'provisioner') + {
      // For the list of images that the cluster needs.
      metadata+: { annotations: { 'slipway.io/images': image(config.helperImage) } },
      spec+: {
        replicas: 1,
        // Two would make every folder twice: it elects no leader.
        strategy: { type: 'Recreate' },
        template+: {
          metadata+: { annotations: pods.restartOn(configuration) },
          spec+: {
            serviceAccountName: name,
            automountServiceAccountToken: true,
            enableServiceLinks: false,
            nodeSelector: pods.linux,
            tolerations: pods.onControlPlane(cluster.minor),
            securityContext: pods.nonRoot(65534),
            containers: [{
              name: name,
              image: image(config.image),
              command: ['local-path-provisioner'],
              args: [
                'start',
                '--config=/etc/config/config.json',
                '--configmap-name=' + settings,
                '--service-account-name=' + name,
                '--provisioner-name=' + provisioner,
                '--helper-image=' + image(config.helperImage),
              ] + config.extraArgs,
              env: [
                { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
                { name: 'CONFIG_MOUNT_PATH', value: '/etc/config/' },
              ],
              resources: config.resources,
              securityContext: pods.locked,
              volumeMounts: [{ name: 'config', mountPath: '/etc/config', readOnly: true }],
            }],
            volumes: [{ name: 'config', configMap: { name: settings } }],
          },
        },
      },
    },
  }
