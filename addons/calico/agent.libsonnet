// calico-node on every node: it programs routes, tunnels and policies, and puts the CNI plugin and its configuration
// onto the host.
local kube = import '../lib/kubernetes.libsonnet';
local pods = import '../lib/pods.libsonnet';
local versions = import '../lib/versions.libsonnet';

local name = 'calico-node';

// What Slipway installs itself (generator/components/containerd.py), and flannel's plugin, which nobody calls here.
local pluginsOfOurs = [
  'bandwidth', 'bridge', 'dhcp', 'firewall', 'flannel', 'host-device', 'host-local', 'ipvlan', 'loopback', 'macvlan',
  'portmap', 'ptp', 'sbr', 'static', 'tuning', 'vlan', 'vrf',
];
// The installer itself, which nobody calls on a host. From 3.26.5 and 3.27.3 on it leaves itself out.
local installerItself = ['install'];

local env(values) = [{ name: key, value: values[key] } for key in std.objectFields(values) if values[key] != null];
local fromField(variable, path) = { name: variable, valueFrom: { fieldRef: { fieldPath: path } } };
local hostPath(volume, path, type=null) = {
  name: volume,
  hostPath: { path: path, [if type != null then 'type']: type },
};

function(cluster, config, features, namespace, image, typha)
  local families = {
    ipv4: std.any([!std.member(cidr, ':') for cidr in cluster.podCIDRs]),
    ipv6: std.any([std.member(cidr, ':') for cidr in cluster.podCIDRs]),
  };
  local bird = !std.startsWith(config.mode, 'vxlan');
  local mtu = if config.mtu == null then 0 else config.mtu;
  local api = { KUBERNETES_SERVICE_HOST: cluster.nodeApi.host, KUBERNETES_SERVICE_PORT: '%d' % cluster.nodeApi.port };
  local method = config.ipAutodetection;
  local ofIPv6 = if config.ipAutodetectionIPv6 == null then method else config.ipAutodetectionIPv6;
  local yes(value) = if value then 'true' else 'false';

  local plugins = [{
    type: 'calico',
    log_level: 'info',
    log_file_path: '/var/log/calico/cni/cni.log',
    datastore_type: 'kubernetes',
    nodename: '__KUBERNETES_NODE_NAME__',
    // 0: what the agent found out on the node (/var/lib/calico/mtu).
    mtu: mtu,
    ipam: { type: 'calico-ipam', assign_ipv4: yes(families.ipv4), assign_ipv6: yes(families.ipv6) },
    policy: { type: 'k8s' },
    kubernetes: { kubeconfig: '__KUBECONFIG_FILEPATH__' },
  }, {
    type: 'portmap',
    snat: true,
    capabilities: { portMappings: true },
  }] + (if features.bandwidthPlugin then [{ type: 'bandwidth', capabilities: { bandwidth: true } }] else []);

  local configuration =
    kube.configMap('calico-config', namespace, {
      'cni-network-config': std.manifestJsonEx({ name: 'k8s-pod-network', cniVersion: '0.3.1', plugins: plugins }, '  '),
    }) + kube.labelled('calico', 'cni');

  local installer = {
    name: 'install-cni',
    image: image(config.images.cni),
    command: ['/opt/cni/bin/install'],
    env: env(api {
      CNI_CONF_NAME: '10-calico.conflist',
      SKIP_CNI_BINARIES: std.join(',', installerItself + pluginsOfOurs),
      SLEEP: 'false',
    }) + [
      fromField('KUBERNETES_NODE_NAME', 'spec.nodeName'),
      { name: 'CNI_NETWORK_CONFIG', valueFrom: { configMapKeyRef: { name: 'calico-config', key: 'cni-network-config' } } },
    ],
    resources: config.installerResources,
    // Root, to whom both folders and its own image's files belong; it needs no other right. Where it sets bits of those
    // files, the root is writable, or it would stop at once.
    securityContext: pods.locked { runAsUser: 0, readOnlyRootFilesystem: !features.installerSetsSuid },
    volumeMounts: [
      { name: 'cni-bin-dir', mountPath: '/host/opt/cni/bin' },
      { name: 'cni-net-dir', mountPath: '/host/etc/cni/net.d' },
    ],
  };

  local check(word) = {
    exec: { command: ['/bin/calico-node', '-felix-' + word] + (if bird then ['-bird-' + word] else []) },
    periodSeconds: 10,
    timeoutSeconds: 10,
  };

  local agent = {
    name: name,
    image: image(config.images.node),
    env: env(api {
      DATASTORE_TYPE: 'kubernetes',
      WAIT_FOR_DATASTORE: 'true',
      CALICO_NETWORKING_BACKEND: if bird then 'bird' else 'vxlan',
      CLUSTER_TYPE: if bird then 'k8s,bgp' else 'k8s',
      CALICO_DISABLE_FILE_LOGGING: 'true',
      // The pools are objects beside this one.
      NO_DEFAULT_POOLS: 'true',
      IP: if families.ipv4 then 'autodetect' else 'none',
      IP_AUTODETECTION_METHOD: if families.ipv4 then method else null,
      IP6: if families.ipv6 then 'autodetect' else 'none',
      IP6_AUTODETECTION_METHOD: if families.ipv6 then ofIPv6 else null,
      // BIRD's own number is an IPv4 address where there is one.
      CALICO_ROUTER_ID: if bird && !families.ipv4 then 'hash' else null,
      FELIX_HEALTHENABLED: 'true',
      FELIX_DEFAULTENDPOINTTOHOSTACTION: 'ACCEPT',
      FELIX_IPV6SUPPORT: yes(families.ipv6),
      FELIX_KUBENODEPORTRANGES: '%d:%d' % cluster.nodePortRange,
      // It needs the BPF file system of the host, for policies of hosts alone.
      FELIX_XDPENABLED: 'false',
      FELIX_VXLANMTU: if bird then null else '%d' % mtu,
      FELIX_VXLANMTUV6: if bird || !families.ipv6 then null else '%d' % mtu,
      FELIX_IPINIPMTU: if std.startsWith(config.mode, 'ipip') then '%d' % mtu else null,
      FELIX_NFTABLESMODE: if cluster.proxyMode == 'nftables' && features.nftables then 'Enabled' else null,
      FELIX_PROMETHEUSMETRICSENABLED: yes(config.metrics.enabled),
      FELIX_PROMETHEUSMETRICSPORT: if config.metrics.enabled then '%d' % config.metrics.felixPort else null,
    } + typha.agentEnv) + [fromField('NODENAME', 'spec.nodeName')],
    [if config.metrics.enabled then 'ports']: [{ name: 'metrics', containerPort: config.metrics.felixPort, protocol: 'TCP' }],
    resources: config.nodeResources,
    // It writes kernel settings of the host and of pods' interfaces, loads modules and enters network namespaces; its
    // service manager writes into the image.
    securityContext: { privileged: true },
    lifecycle: { preStop: { exec: { command: ['/bin/calico-node', '-shutdown'] } } },
    livenessProbe: check('live') { initialDelaySeconds: 10, failureThreshold: 6 },
    readinessProbe: check('ready'),
    volumeMounts: [
      // The plugin's credentials are renewed here.
      { name: 'cni-net-dir', mountPath: '/host/etc/cni/net.d' },
      { name: 'lib-modules', mountPath: '/lib/modules', readOnly: true },
      { name: 'xtables-lock', mountPath: '/run/xtables.lock' },
      { name: 'var-run-calico', mountPath: '/var/run/calico' },
      { name: 'var-lib-calico', mountPath: '/var/lib/calico' },
    ] + typha.agentMounts,
  };

  {
    config: configuration,
    agent: kube.workload('DaemonSet', name, namespace, 'calico', 'node') + {
      metadata+: {
        annotations: {
          'slipway.io/on-change':
            'the agents restart, %s at a time; pods keep their connections, while new pods and new policies of a node '
            % config.maxUnavailable + 'wait for its agent',
        },
      },
      spec+: {
        updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: config.maxUnavailable } },
        template+: {
          metadata+: {
            // Upstream's documents and tools know the pods by this label.
            labels+: { 'k8s-app': name },
            annotations: pods.restartOn(configuration) + typha.agentAnnotations,
          },
          spec+: {
            serviceAccountName: name,
            automountServiceAccountToken: true,
            hostNetwork: true,
            nodeSelector: pods.linux,
            tolerations: pods.everywhere,
            priorityClassName: 'system-node-critical',
            // Deleted at once: the sooner the next agent is there, the shorter nobody renews routes.
            terminationGracePeriodSeconds: 0,
            securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
            initContainers: [installer],
            containers: [agent],
            volumes: [
              hostPath('cni-bin-dir', '/opt/cni/bin', 'DirectoryOrCreate'),
              hostPath('cni-net-dir', '/etc/cni/net.d', 'DirectoryOrCreate'),
              hostPath('lib-modules', '/lib/modules'),
              hostPath('xtables-lock', '/run/xtables.lock', 'FileOrCreate'),
              hostPath('var-run-calico', '/var/run/calico', 'DirectoryOrCreate'),
              hostPath('var-lib-calico', '/var/lib/calico', 'DirectoryOrCreate'),
            ] + typha.agentVolumes,
          },
        },
      },
    },
  } + (
    if !config.metrics.enabled then {}
    else {
      agentMetrics: kube.service('calico-node-metrics', namespace, kube.selector('calico', 'node'), [
        { name: 'metrics', port: config.metrics.felixPort, targetPort: 'metrics' },
      ]) + kube.labelled('calico', 'node') + { spec+: { clusterIP: 'None' } },
    }
  )
