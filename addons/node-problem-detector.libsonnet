// node-problem-detector: trouble that the kernel of a node tells of, as conditions and events of the Node.
// docs/addons/node-problem-detector.md compares it with upstream.
local images = import 'lib/images.libsonnet';
local knobs = import 'lib/knobs.libsonnet';
local kube = import 'lib/kubernetes.libsonnet';
local pods = import 'lib/pods.libsonnet';
local known = import 'node-problem-detector/rules.libsonnet';

local name = 'node-problem-detector';
local namespace = name;

local defaults = {
  image: 'registry.k8s.io/node-problem-detector/node-problem-detector:v1.36.0',
  resources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { memory: '128Mi' } },
  conditions: known.conditions,
  rules: known.rules,
  // What is added to them.
  extraConditions: [],
  extraRules: [],
  // How far back it looks when it starts.
  lookback: '5m',
  extraArgs: [],
  maxUnavailable: '10%',
};

local monitor(config, plugin) = std.manifestJsonEx(plugin {
  source: 'kernel-monitor',
  lookback: config.lookback,
  bufferSize: 10,
  metricsReporting: true,
  conditions: config.conditions + config.extraConditions,
  rules: config.rules + config.extraRules,
}, '  ') + '\n';

// Where the kernel's messages are, by `source`: a file of configuration for each place, and what of the host is mounted.
local sources = {
  // journald keeps them under /var/log/journal, or under /run/log/journal where it keeps nothing over a reboot; the
  // place that a host does not have is passed over. Root owns the files, so root reads them without any capability.
  // The folders above are mounted, since mounting journal itself would create it and so change what journald does.
  journal: {
    monitors(config): {
      [place + '.json']: monitor(config, {
        plugin: 'journald',
        pluginConfig: { source: 'kernel' },
        logPath: '/host/%s/journal' % place,
      })
      for place in ['lasting', 'volatile']
    },
    mounts: { lasting: ['/var/log', '/host/lasting', 'Directory'], volatile: ['/run/log', '/host/volatile', 'Directory'] },
    securityContext: pods.locked { runAsUser: 0, runAsNonRoot: false },
  },
  // /dev/kmsg is no device that the runtime lets a container open, and a kernel with dmesg_restrict asks for
  // CAP_SYSLOG besides: only a privileged container reads it.
  kmsg: {
    monitors(config): { 'kernel.json': monitor(config, { plugin: 'kmsg', logPath: '/dev/kmsg' }) },
    mounts: { kmsg: ['/dev/kmsg', '/dev/kmsg', 'CharDevice'] },
    securityContext: { privileged: true, readOnlyRootFilesystem: true, runAsUser: 0, runAsNonRoot: false },
  },
};

function(cluster, params)
  local config = knobs('nodeProblemDetector', cluster.addons.nodeProblemDetector + defaults, params);
  local image = images(cluster, config);
  local source = sources[config.source];
  local configuration = kube.configMap(name, namespace, source.monitors(config)) + kube.labelled(name);
  local account = kube.account(name, namespace);
  {
    // hostPath and the host's network ask for the level privileged.
    namespace: kube.namespace(namespace, 'privileged'),
    denyAll: kube.denyAll(namespace),
    account: kube.serviceAccount(name, namespace),
    role: kube.clusterRole('slipway:node-problem-detector', [
      { apiGroups: [''], resources: ['nodes'], verbs: ['get'] },
      { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
    ]) + kube.labelled(name),
    binding: kube.clusterRoleBinding('slipway:node-problem-detector', 'slipway:node-problem-detector', [account])
             + kube.labelled(name),
    // Events about nodes, which have no namespace, are kept in `default`.
    eventsRole: kube.role('slipway:node-problem-detector', 'default', [
      { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
    ]) + kube.labelled(name),
    eventsBinding: kube.roleBinding('slipway:node-problem-detector', 'default', 'slipway:node-problem-detector', [account])
                   + kube.labelled(name),
    configuration: configuration,
    daemonSet: kube.workload('DaemonSet', name, namespace, name) + {
      spec+: {
        updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: config.maxUnavailable } },
        template+: {
          metadata+: { annotations: pods.restartOn(configuration) },
          spec+: {
            serviceAccountName: name,
            automountServiceAccountToken: true,
            enableServiceLinks: false,
            priorityClassName: 'system-node-critical',
            // It reports although the network of pods is what is broken, and its ports are the node's own to read.
            hostNetwork: true,
            dnsPolicy: 'Default',
            tolerations: pods.everywhere,
            nodeSelector: pods.linux,
            securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
            containers: [{
              name: config.source,
              image: image(config.image),
              // The image's entry point names configuration of its own.
              command: ['/node-problem-detector'],
              args: [
                '--config.system-log-monitor='
                + std.join(',', ['/config/' + file for file in std.objectFields(configuration.data)]),
                '--address=127.0.0.1',
                '--port=20256',
                '--prometheus-address=127.0.0.1',
                '--prometheus-port=20257',
              ] + config.extraArgs,
              env: [
                { name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
                // The node's own way to the API, which needs no Service.
                { name: 'KUBERNETES_SERVICE_HOST', value: cluster.nodeApi.host },
                { name: 'KUBERNETES_SERVICE_PORT', value: '%d' % cluster.nodeApi.port },
              ],
              ports: [
                { name: 'health', containerPort: 20256, hostPort: 20256, hostIP: '127.0.0.1', protocol: 'TCP' },
                { name: 'metrics', containerPort: 20257, hostPort: 20257, hostIP: '127.0.0.1', protocol: 'TCP' },
              ],
              livenessProbe: {
                httpGet: { host: '127.0.0.1', path: '/healthz', port: 'health', scheme: 'HTTP' },
                initialDelaySeconds: 10,
                periodSeconds: 30,
                timeoutSeconds: 5,
              },
              resources: config.resources,
              securityContext: source.securityContext,
              volumeMounts: [{ name: 'config', mountPath: '/config', readOnly: true }] + [
                { name: one, mountPath: source.mounts[one][1], readOnly: true }
                for one in std.objectFields(source.mounts)
              ],
            }],
            volumes: [{ name: 'config', configMap: { name: name } }] + [
              { name: one, hostPath: { path: source.mounts[one][0], type: source.mounts[one][2] } }
              for one in std.objectFields(source.mounts)
            ],
          },
        },
      },
    },
  }
