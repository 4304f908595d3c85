// NodeLocal DNS: a cache of names on every node (https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/).
//
// Facts: https://github.com/kubernetes/kubernetes/tree/master/cluster/addons/dns/nodelocaldns and the flags of
// https://github.com/kubernetes/dns/tree/master/cmd/node-cache. docs/addons/node-local-dns.md compares each line.
local corefile = import 'corefile.libsonnet';
local images = import 'lib/images.libsonnet';
local knobs = import 'lib/knobs.libsonnet';
local kube = import 'lib/kubernetes.libsonnet';
local pods = import 'lib/pods.libsonnet';

local name = 'node-local-dns';
local namespace = 'kube-system';
local upstream = 'kube-dns-upstream';
local state = '/run/node-local-dns';

local defaults = {
  image: 'registry.k8s.io/dns/k8s-dns-node-cache:1.26.8',
  resources: { requests: { cpu: '25m', memory: '32Mi' }, limits: { memory: '170Mi' } },
  // How long an answer is kept at most, and how long that there is none.
  cacheSeconds: 30,
  denialSeconds: 5,
  // Answers of the cluster's domain that are kept, of either kind.
  cacheEntries: 9984,
  // Further server blocks, each with its `bind`.
  extraServerBlocks: '',
  maxUnavailable: '10%',
};

function(cluster, params)
  local config = knobs('nodeLocalDNS', cluster.addons.nodeLocalDNS + defaults, params);
  local image = images(cluster, config);
  local dns = cluster.addons.coredns;
  local selector = kube.selector(name);
  local health = (if std.member(config.localAddress, ':') then '[%s]' else '%s') % config.localAddress;

  // In mode iptables the address of the Service kube-dns is the cache's own on every node: rules keep what is sent there
  // from connection tracking, and so from kube-proxy's translation. ipvs has that address on an interface of its own, and
  // for nftables the program sets no rules (https://github.com/kubernetes/dns/issues/682).
  local takesService = cluster.proxyMode == 'iptables';
  local setsRules = cluster.proxyMode != 'nftables';
  local listens = [config.localAddress] + (if takesService then [cluster.dnsIPs[0]] else []);

  // The program puts the address of `upstream` here: another Service for the same pods, at an address that stays with
  // kube-proxy. Elsewhere the Service kube-dns itself can be asked.
  local asked = if takesService then '__PILLAR__CLUSTER__DNS__' else cluster.dnsIPs[0];
  local metrics = if config.metrics == 'cluster' then '' else '127.0.0.1';

  local common = ['errors', 'reload', 'loop', 'bind ' + std.join(' ', listens), 'prometheus %s:9253' % metrics];
  local cache = ['cache %d' % config.cacheSeconds];
  // TCP towards CoreDNS: no answer is cut, and no entry of connection tracking waits for its time to run out.
  local towardsCluster = corefile.block('forward . ' + asked, ['force_tcp']);
  local kept = corefile.block('cache %d' % config.cacheSeconds, [
    'success %d %d' % [config.cacheEntries, config.cacheSeconds],
    'denial %d %d' % [config.cacheEntries, config.denialSeconds],
  ]);
  local blocks = [
    corefile.block(cluster.domain + ':53', common + kept + towardsCluster + ['health %s:8080' % health]),
  ] + [
    corefile.block(zone + ':53', common + cache + towardsCluster)
    for zone in ['in-addr.arpa', 'ip6.arpa']
  ] + [
    corefile.stubDomain(domain, dns.stubDomains[domain], common + cache)
    for domain in std.objectFields(dns.stubDomains)
  ] + [
    corefile.block('.:53', common + cache + ['forward . ' + std.join(' ', dns.upstream)]),
  ] + (if config.extraServerBlocks == '' then [] else [corefile.linesOf(config.extraServerBlocks)]);
  local settings = kube.configMap(name, namespace, { 'Corefile.base': corefile.text(blocks) }) + kube.labelled(name);
{
  account: kube.serviceAccount(name, namespace) + kube.labelled(name),
  config: settings,
  [if takesService then 'upstream']: kube.service(upstream, namespace, kube.selector('coredns'), [
    { name: 'dns', port: 53, protocol: 'UDP', targetPort: 53 },
    { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 53 },
  ]) + kube.labelled(name),
  [if config.metrics == 'cluster' then 'metrics']: kube.service(name, namespace, selector, [
    { name: 'metrics', port: 9253, protocol: 'TCP', targetPort: 9253 },
    { name: 'setup-metrics', port: 9353, protocol: 'TCP', targetPort: 9353 },
  ]) + kube.labelled(name) + { spec+: { clusterIP: 'None' } },
  daemonSet: kube.workload('DaemonSet', name, namespace, name) + {
    spec+: {
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: config.maxUnavailable } },
      template+: {
        metadata+: { annotations: pods.restartOn(settings) },
        spec+: {
          serviceAccountName: name,
          automountServiceAccountToken: false,
          priorityClassName: 'system-node-critical',
          // It makes an interface and rules of the host, and answers there.
          hostNetwork: true,
          // The resolver of the node: that of the cluster is the cache itself.
          dnsPolicy: 'Default',
          nodeSelector: pods.linux,
          tolerations: pods.everywhere,
          securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
          containers: [{
            name: 'node-cache',
            image: image(config.image),
            args: [
              '-localip',
              std.join(',', listens),
              '-conf',
              state + '/Corefile',
              '-pidfile',
              state + '/pid',
              '-metrics-listen-address',
              metrics + ':9353',
            ] + (if takesService then ['-upstreamsvc', upstream] else [
              // Nobody else answers for it at the local address: an interface that comes and goes would only send
              // queries out of the host in between.
              '-skipteardown=true',
            ]) + (if setsRules then [] else ['-setupiptables=false']),
            ports: [
              { name: 'dns', containerPort: 53, protocol: 'UDP' },
              { name: 'dns-tcp', containerPort: 53, protocol: 'TCP' },
            ],
            livenessProbe: {
              httpGet: { host: config.localAddress, path: '/health', port: 8080 },
              initialDelaySeconds: 60,
              timeoutSeconds: 5,
            },
            readinessProbe: { httpGet: { host: config.localAddress, path: '/health', port: 8080 }, timeoutSeconds: 5 },
            resources: config.resources,
            securityContext: pods.locked + {
              runAsUser: 0,
              capabilities+: {
                // The interface and rules, port 53, and the sockets of an iptables without nftables.
                add: ['NET_ADMIN', 'NET_BIND_SERVICE'] + (if setsRules then ['NET_RAW'] else []),
              },
              // iptables of the image finds out at its first call which of two kinds the host uses, and links itself to
              // that (https://github.com/kubernetes-sigs/iptables-wrappers).
              readOnlyRootFilesystem: !setsRules,
            },
            volumeMounts: [
              { name: 'config', mountPath: '/etc/coredns', readOnly: true },
              { name: 'state', mountPath: state },
            ] + (if setsRules then [{ name: 'xtables-lock', mountPath: '/run/xtables.lock' }] else []),
          }],
          volumes: [
            { name: 'config', configMap: { name: name, items: [{ key: 'Corefile.base', path: 'Corefile.base' }] } },
            { name: 'state', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
          ] + (
            if !setsRules then []
            else [{ name: 'xtables-lock', hostPath: { path: '/run/xtables.lock', type: 'FileOrCreate' } }]
          ),
        },
      },
    },
  },
}
