// CoreDNS, the name server of the cluster: the Service kube-dns at network.dnsIP.
//
// Facts: https://github.com/kubernetes/kubernetes/tree/master/cluster/addons/dns/coredns and
// https://coredns.io/plugins/kubernetes/. docs/addons/coredns.md compares each line.
local corefile = import 'corefile.libsonnet';
local images = import 'lib/images.libsonnet';
local knobs = import 'lib/knobs.libsonnet';
local kube = import 'lib/kubernetes.libsonnet';
local policies = import 'lib/network-policies.libsonnet';
local pods = import 'lib/pods.libsonnet';
local versions = import 'lib/versions.libsonnet';

local name = 'coredns';
local namespace = 'kube-system';
local role = 'system:coredns';
local scaler = 'coredns-autoscaler';

// The version that kubeadm of each minor pairs with (https://github.com/coredns/deployment/blob/master/kubernetes/
// CoreDNS-k8s_version.md up to 1.33, then build/dependencies.yaml of kubernetes/kubernetes), the newest row first.
local releases = [
  [36, 'coredns/coredns:v1.14.2'],
  [35, 'coredns/coredns:v1.13.1'],
  [34, 'coredns/coredns:v1.12.1'],
  [33, 'coredns/coredns:v1.12.0'],
  [31, 'coredns/coredns:v1.11.3'],
  [29, 'coredns/coredns:v1.11.1'],
  [27, 'coredns/coredns:v1.10.1'],
  [25, 'coredns/coredns:v1.9.3'],
  [23, 'coredns/coredns:v1.8.6'],
  [22, 'coredns/coredns:v1.8.4'],
  [21, 'coredns/coredns:v1.8.0'],
  // Images before 1.8.0 have a shorter path.
  [20, 'coredns:1.7.0'],
];

local defaults(minor) = {
  image: 'registry.k8s.io/' + [row[1] for row in releases if versions.atLeast(minor, row[0])][0],
  autoscalerImage: 'registry.k8s.io/cpa/cluster-proportional-autoscaler:v1.10.3',
  resources: { requests: { cpu: '100m', memory: '70Mi' }, limits: { memory: '170Mi' } },
  autoscalerResources: { requests: { cpu: '20m', memory: '10Mi' }, limits: { memory: '50Mi' } },
  // How long a pod that ends still answers, so that nobody asks one that has gone.
  lameduckSeconds: 5,
  // Lifetime of an answer about a Service or a pod.
  ttlSeconds: 30,
  // Queries to the servers upstream at one time.
  maxConcurrent: 1000,
  // Further lines of the main server block, such as 'rewrite name old.example.net new.default.svc.cluster.local'.
  plugins: [],
  // Further egress of a NetworkPolicy, for what plugins and server blocks of your own ask.
  extraEgress: [],
  nodeSelector: {},
  tolerations: [],
};

// Fields by which a Service has an address of each family (https://kubernetes.io/docs/concepts/services-networking/
// dual-stack/): behind a gate in 1.20, which Slipway opens there for two families, and open from 1.21 on.
local addresses(ips) =
  { clusterIP: ips[0] } + (
    if std.length(ips) == 1 then {}
    else {
      clusterIPs: ips,
      ipFamilyPolicy: 'RequireDualStack',
      ipFamilies: [if std.member(ip, ':') then 'IPv6' else 'IPv4' for ip in ips],
    }
  );

// What a pod that reads the API may call: the servers themselves, since their Service leads there.
local towardsApi(cluster) = {
  to: [policies.host(one.address) for one in cluster.apiServers],
  ports: [{ port: port, protocol: 'TCP' } for port in std.set([one.port for one in cluster.apiServers])],
};

function(cluster, params)
  local config = knobs(name, cluster.addons.coredns + { stubDomains: {} } + defaults(cluster.minor), params);
  local image = images(cluster, config);
  local selector = kube.selector(name);
  // Policies of other people know the name server by this label.
  local atLeast(second) = versions.atLeast(cluster.minor, second);
  local servers = config.upstream + std.flattenArrays([config.stubDomains[one] for one in std.objectFields(config.stubDomains)]);
  local cache = if config.cacheSeconds > 0 then ['cache %d' % config.cacheSeconds] else [];
  local log = if config.log then ['log'] else [];

  local main = corefile.block(
    '.:53',
    ['errors']
    + log
    + corefile.block('health', ['lameduck %ds' % config.lameduckSeconds])
    + ['ready']
    + corefile.block('kubernetes %s in-addr.arpa ip6.arpa' % cluster.domain, [
      'pods ' + config.pods,
      'fallthrough in-addr.arpa ip6.arpa',
      'ttl %d' % config.ttlSeconds,
    ])
    + ['prometheus :9153']
    + config.plugins
    + corefile.block('forward . ' + std.join(' ', config.upstream), ['max_concurrent %d' % config.maxConcurrent])
    + cache
    + ['loop', 'reload', 'loadbalance']
  );
  local stubs = [
    corefile.stubDomain(domain, config.stubDomains[domain], ['errors'] + log + ['prometheus :9153'] + cache)
    for domain in std.objectFields(config.stubDomains)
  ];
  local own = if config.extraServerBlocks == '' then [] else [corefile.linesOf(config.extraServerBlocks)];
  local settings = kube.configMap(name, namespace, { Corefile: corefile.text([main] + stubs + own) })
                   + kube.labelled(name);

  local spread = {
    affinity: pods.apart(selector),
    [if cluster.zones != [] then 'topologySpreadConstraints']: [{
      maxSkew: 1,
      topologyKey: 'topology.kubernetes.io/zone',
      whenUnsatisfiable: 'ScheduleAnyway',
      labelSelector: { matchLabels: selector },
    }],
  };
  local tolerations = [{ key: 'CriticalAddonsOnly', operator: 'Exists' }] + pods.onControlPlane(cluster.minor)
                      + config.tolerations;
{
  account: kube.serviceAccount(name, namespace) + kube.labelled(name),
  role: kube.clusterRole(role, [
    // Names of pods are only checked, and so pods only watched, where pods is verified. From 1.8.1 on CoreDNS reads
    // EndpointSlices in place of Endpoints.
    {
      apiGroups: [''],
      resources: ['namespaces', 'services'] + (if config.pods == 'verified' then ['pods'] else [])
                 + (if atLeast(22) then [] else ['endpoints']),
      verbs: ['list', 'watch'],
    },
  ] + (
    if !atLeast(22) then []
    else [{ apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] }]
  )) + kube.labelled(name),
  binding: kube.clusterRoleBinding(role, role, [kube.account(name, namespace)]) + kube.labelled(name),
  config: settings,
  service: kube.service('kube-dns', namespace, selector, [
    { name: 'dns', port: 53, protocol: 'UDP', targetPort: 'dns' },
    { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 'dns-tcp' },
    { name: 'metrics', port: 9153, protocol: 'TCP', targetPort: 'metrics' },
  ]) + kube.labelled(name) + {
    metadata+: {
      annotations: { 'prometheus.io/port': '9153', 'prometheus.io/scrape': 'true' },
      // By these `kubectl cluster-info` finds it.
      labels+: { 'k8s-app': 'kube-dns', 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
    },
    spec+: addresses(cluster.dnsIPs),
  },
  deployment: kube.workload('Deployment', name, namespace, name) + {
    spec+: {
      // Where the autoscaler decides, the number is not ours to apply.
      [if !config.autoscale.enabled then 'replicas']: config.replicas,
      strategy: {
        type: 'RollingUpdate',
        // A single replica goes only when the next one answers.
        rollingUpdate: {
          maxSurge: '25%',
          maxUnavailable: if !config.autoscale.enabled && config.replicas == 1 then 0 else 1,
        },
      },
      template+: {
        metadata+: { labels+: { 'k8s-app': 'kube-dns' }, annotations: pods.restartOn(settings) },
        spec+: {
          serviceAccountName: name,
          automountServiceAccountToken: true,
          priorityClassName: 'system-cluster-critical',
          // The resolver of the node: one of the cluster's would be CoreDNS itself.
          dnsPolicy: 'Default',
          nodeSelector: pods.linux + config.nodeSelector,
          tolerations: tolerations,
          // Port 53 is for every user from 1.22 on, when this sysctl is one that kubelets let pass
          // (https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/). Before that the program is root with
          // one capability, since images before CoreDNS 1.11 have none on the file.
          securityContext: if atLeast(22) then pods.nonRoot(65532) + {
            sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '53' }],
          } else { seccompProfile: { type: 'RuntimeDefault' } },
          containers: [{
            name: name,
            image: image(config.image),
            args: ['-conf', '/etc/coredns/Corefile'],
            ports: [
              { name: 'dns', containerPort: 53, protocol: 'UDP' },
              { name: 'dns-tcp', containerPort: 53, protocol: 'TCP' },
              { name: 'metrics', containerPort: 9153, protocol: 'TCP' },
            ],
            livenessProbe: {
              httpGet: { path: '/health', port: 8080, scheme: 'HTTP' },
              initialDelaySeconds: 60,
              timeoutSeconds: 5,
              failureThreshold: 5,
            },
            readinessProbe: { httpGet: { path: '/ready', port: 8181, scheme: 'HTTP' } },
            resources: config.resources,
            securityContext: pods.locked + {
              // From CoreDNS 1.11 on the file itself asks for it, and does not start in a container that cannot have it
              // (https://github.com/coredns/coredns/blob/master/Dockerfile).
              capabilities+: { add: ['NET_BIND_SERVICE'] },
            },
            volumeMounts: [{ name: 'config', mountPath: '/etc/coredns', readOnly: true }],
          }],
          volumes: [{ name: 'config', configMap: { name: name, items: [{ key: 'Corefile', path: 'Corefile' }] } }],
        } + spread,
      },
    },
  },
  disruption: kube.podDisruptionBudget(cluster.minor, name, namespace, selector, { maxUnavailable: 1 })
              + kube.labelled(name),
  // Probes come from the node itself, which no policy keeps from its pods.
  policy: kube.networkPolicy(name, namespace, {
    podSelector: { matchLabels: selector },
    policyTypes: ['Ingress', 'Egress'],
    ingress: [
      { ports: [{ port: 53, protocol: 'UDP' }, { port: 53, protocol: 'TCP' }] },
      { from: [{ namespaceSelector: {} }], ports: [{ port: 9153, protocol: 'TCP' }] },
    ],
    egress: [
      {
        ports: [
          { port: port, protocol: protocol }
          for port in corefile.ports(servers)
          for protocol in ['UDP', 'TCP']
        ],
      },
      towardsApi(cluster),
    ] + config.extraEgress,
  }) + kube.labelled(name),
} + (if !config.autoscale.enabled then {} else (import 'coredns-autoscaler.libsonnet')(cluster, config, {
  name: scaler,
  namespace: namespace,
  target: name,
  image: image(config.autoscalerImage),
  tolerations: tolerations,
  egress: [towardsApi(cluster)],
}))
