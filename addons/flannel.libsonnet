// Flannel, the pod network of network.plugin flannel.
//
// Facts: https://github.com/flannel-io/flannel/blob/master/Documentation/kube-flannel.yml, configuration.md and
// backends.md beside it. docs/addons/flannel.md compares each line.
local images = import 'lib/images.libsonnet';
local knobs = import 'lib/knobs.libsonnet';
local kube = import 'lib/kubernetes.libsonnet';
local pods = import 'lib/pods.libsonnet';

local name = 'flannel';
local namespace = 'kube-flannel';

local defaults = {
  image: 'ghcr.io/flannel-io/flannel:v0.28.9',
  pluginImage: 'ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3',
  resources: { requests: { cpu: '100m', memory: '50Mi' }, limits: { memory: '200Mi' } },
  installResources: { requests: { cpu: '10m', memory: '10Mi' }, limits: { memory: '50Mi' } },
  // Rules by nft in place of iptables, which upstream calls experimental.
  nftables: false,
  // Further arguments of flanneld, such as '--iptables-resync=30'.
  extraArgs: [],
  maxUnavailable: '10%',
};

function(cluster, params)
  local config = knobs(name, cluster.addons.flannel + defaults, params);
  local image = images(cluster, config);
  local six = [cidr for cidr in cluster.podCIDRs if std.member(cidr, ':')];
  local four = [cidr for cidr in cluster.podCIDRs if !std.member(cidr, ':')];
  local isUdp = config.backend == 'udp';

  local network = {
    // The whole range: each node's part of it stands in its Node, from the controller manager.
    [if four != [] then 'Network']: four[0],
    [if four == [] then 'EnableIPv4']: false,
    [if six != [] then 'IPv6Network']: six[0],
    [if six != [] then 'EnableIPv6']: true,
    [if config.nftables then 'EnableNFTables']: true,
    Backend: {
      Type: config.backend,
      [if config.directRouting then 'DirectRouting']: true,
      [if config.vni != null then 'VNI']: config.vni,
      [if config.port != null then 'Port']: config.port,
      [if config.mtu != null then 'MTU']: config.mtu,
    },
  };
  local plugins = {
    name: 'cbr0',
    cniVersion: '0.3.1',
    plugins: [
      { type: 'flannel', delegate: { hairpinMode: true, isDefaultGateway: true } },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
  local settings = kube.configMap('kube-flannel-cfg', namespace, {
    'cni-conf.json': std.manifestJsonEx(plugins, '  ') + '\n',
    'net-conf.json': std.manifestJsonEx(network, '  ') + '\n',
  }) + kube.labelled(name);

  // Tunnels and routes begin at the address that the kubelet has, which the spec names, and not at that of the default
  // route.
  local interface =
    if config.interface != null then '--iface=' + config.interface
    else if config.interfaceRegex != null then '--iface-regex=' + config.interfaceRegex
    else '--iface=$(NODE_IP)';
  local installer = {
    command: ['cp'],
    resources: config.installResources,
    // Root, since the folders are root's on every host.
    securityContext: pods.locked + { runAsUser: 0 },
  };
  local hostPath(volume, path, type) = { name: volume, hostPath: { path: path, type: type } };
{
  namespace: kube.namespace(namespace, 'privileged'),
  denyAll: kube.denyAll(namespace) + kube.labelled(name),
  account: kube.serviceAccount(name, namespace) + kube.labelled(name),
  role: kube.clusterRole(name, [
    { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
  ]) + kube.labelled(name),
  binding: kube.clusterRoleBinding(name, name, [kube.account(name, namespace)]) + kube.labelled(name),
  config: settings,
  daemonSet: kube.workload('DaemonSet', 'kube-flannel-ds', namespace, name) + {
    spec+: {
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: config.maxUnavailable } },
      template+: {
        metadata+: { annotations: pods.restartOn(settings) },
        spec+: {
          serviceAccountName: name,
          automountServiceAccountToken: true,
          priorityClassName: 'system-node-critical',
          // It makes interfaces, routes and rules of the host.
          hostNetwork: true,
          nodeSelector: pods.linux,
          tolerations: pods.everywhere,
          securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
          initContainers: [
            installer + {
              name: 'install-cni-plugin',
              image: image(config.pluginImage),
              args: ['-f', '/flannel', '/opt/cni/bin/flannel'],
              volumeMounts: [{ name: 'cni-plugin', mountPath: '/opt/cni/bin' }],
            },
            installer + {
              name: 'install-cni',
              image: image(config.image),
              args: ['-f', '/etc/kube-flannel/cni-conf.json', '/etc/cni/net.d/10-flannel.conflist'],
              volumeMounts: [
                { name: 'cni', mountPath: '/etc/cni/net.d' },
                { name: 'config', mountPath: '/etc/kube-flannel', readOnly: true },
              ],
            },
          ],
          containers: [{
            name: 'kube-flannel',
            image: image(config.image),
            command: ['/opt/bin/flanneld'],
            args: [
              '--ip-masq',
              '--kube-subnet-mgr',
              interface,
              '--healthz-ip=127.0.0.1',
              '--healthz-port=%d' % config.healthPort,
            ] + config.extraArgs,
            env: [
              // Services work once there is a network, so it enters the API as its node does.
              { name: 'KUBERNETES_SERVICE_HOST', value: cluster.nodeApi.host },
              { name: 'KUBERNETES_SERVICE_PORT', value: std.toString(cluster.nodeApi.port) },
              // With its node's name it need not look up its own pod.
              { name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
              { name: 'NODE_IP', valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } },
              { name: 'EVENT_QUEUE_DEPTH', value: '5000' },
              { name: 'CONT_WHEN_CACHE_NOT_READY', value: 'false' },
            ],
            livenessProbe: {
              httpGet: { host: '127.0.0.1', path: '/healthz', port: config.healthPort },
              initialDelaySeconds: 10,
              timeoutSeconds: 5,
            },
            readinessProbe: {
              httpGet: { host: '127.0.0.1', path: '/readyz', port: config.healthPort },
              timeoutSeconds: 5,
            },
            resources: config.resources,
            securityContext: pods.locked + {
              privileged: false,
              runAsUser: 0,
              // Interfaces, routes and rules; raw sockets for an iptables without nftables.
              capabilities+: { add: ['NET_ADMIN', 'NET_RAW'] },
              // iptables of the image finds out at its first call which of two kinds the host uses, and links itself to
              // that; where it cannot, calls by their whole path fail (https://github.com/kubernetes-sigs/
              // iptables-wrappers/pull/11).
              readOnlyRootFilesystem: config.nftables,
            },
            volumeMounts: [
              { name: 'run', mountPath: '/run/flannel' },
              { name: 'config', mountPath: '/etc/kube-flannel', readOnly: true },
              { name: 'xtables-lock', mountPath: '/run/xtables.lock' },
            ] + (if isUdp then [{ name: 'tun', mountPath: '/dev/net/tun' }] else []),
          }],
          volumes: [
            hostPath('run', '/run/flannel', 'DirectoryOrCreate'),
            hostPath('cni-plugin', '/opt/cni/bin', 'Directory'),
            hostPath('cni', '/etc/cni/net.d', 'Directory'),
            hostPath('xtables-lock', '/run/xtables.lock', 'FileOrCreate'),
            { name: 'config', configMap: { name: 'kube-flannel-cfg' } },
          ] + (if isUdp then [hostPath('tun', '/dev/net/tun', 'CharDevice')] else []),
        },
      },
    },
  },
}
