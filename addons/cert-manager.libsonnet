// cert-manager: certificates for what runs in the cluster. docs/addons/cert-manager.md compares it with upstream.
local crds = import 'cert-manager/crds.libsonnet';
local rights = import 'cert-manager/rights.libsonnet';
local webhook = import 'cert-manager/webhook.libsonnet';
local images = import 'lib/images.libsonnet';
local knobs = import 'lib/knobs.libsonnet';
local kube = import 'lib/kubernetes.libsonnet';
local policies = import 'lib/network-policies.libsonnet';
local pods = import 'lib/pods.libsonnet';

local namespace = 'cert-manager';

local resources(cpu, memory, limit) = { requests: { cpu: cpu, memory: memory }, limits: { memory: limit } };

local defaults = {
  controller: { resources: resources('20m', '64Mi', '256Mi'), extraArgs: [] },
  webhook: { resources: resources('10m', '32Mi', '128Mi'), extraArgs: [] },
  // The injector keeps every Secret and every CustomResourceDefinition of the cluster in memory.
  cainjector: { resources: resources('10m', '64Mi', '512Mi'), extraArgs: [] },
  image: 'quay.io/jetstack/cert-manager-controller',
  webhookImage: 'quay.io/jetstack/cert-manager-webhook',
  cainjectorImage: 'quay.io/jetstack/cert-manager-cainjector',
  solverImage: 'quay.io/jetstack/cert-manager-acmesolver',
  logLevel: 2,
  // Egress rules of NetworkPolicies for the controller beyond DNS, the API and ACME, such as to Vault.
  egress: [],
  // Labels of the namespaces whose pods may read metrics, {} for all of them; nobody may where nothing is said.
  metricsFrom: null,
};

// The newest release for each Kubernetes minor, from its first on
// (https://cert-manager.io/docs/releases/#currently-supported-releases, read in October 2026): 1.10 is for 1.20 to 1.26,
// 1.11 for 1.21 to 1.26, 1.12 (long-term) for 1.22 to 1.32, 1.18 for 1.29 to 1.33, 1.19 for 1.31 to 1.35, 1.20 for 1.32
// to 1.35 and 1.21 for 1.33 to 1.36.
local releases = [
  [20, '1.10.2'],
  [21, '1.11.5'],
  [22, '1.12.17'],
  [29, '1.18.6'],
  [31, '1.19.6'],
  [32, '1.20.4'],
  [33, '1.21.2'],
];
local newest(minor) = [release[1] for release in releases if minor[1] >= release[0]];

function(cluster, params)
  local config = knobs('certManager', cluster.addons.certManager + defaults, params);
  local image = images(cluster, config);
  local version = if config.version != null then config.version else newest(cluster.minor)[std.length(newest(cluster.minor)) - 1];
  // Which minor of cert-manager it is: what can be probed differs.
  local release = std.parseInt(std.split(version, '.')[1]);
  local tagged(name) = image('%s:v%s' % [name, version]);

  local deployment(name, component, image, own, container) =
    kube.workload('Deployment', name, namespace, 'cert-manager', component) + {
      spec+: {
        replicas: config.replicas,
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        template+: {
          spec+: {
            serviceAccountName: name,
            automountServiceAccountToken: true,
            enableServiceLinks: false,
            securityContext: pods.nonRoot(1000),
            nodeSelector: pods.linux,
            affinity: pods.apart(kube.selector('cert-manager', component)),
            containers: [container {
              name: component,
              image: image,
              args: ['--v=%d' % config.logLevel] + super.args + own.extraArgs,
              env: [{ name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } }],
              resources: own.resources,
              securityContext: pods.locked,
            }],
          },
        },
      },
    };

  local metrics = { containerPort: 9402, name: 'http-metrics', protocol: 'TCP' };
  local open(port) = { tcpSocket: { port: port }, periodSeconds: 10, timeoutSeconds: 5 };

  crds + rights(namespace, release) + webhook.admission(namespace) + {
    namespace: kube.namespace(namespace, 'restricted'),
    denyAll: kube.denyAll(namespace),
    allowDNS: kube.allowDNS(namespace),
    allowApi: policies.toApi(cluster, namespace),
    // The API server calls the webhook. From which address depends on the network: that of its host, or the host's own
    // address in the overlay. So anyone may; the webhook changes nothing and needs no credentials.
    allowWebhook: kube.networkPolicy('allow-webhook', namespace, {
      podSelector: { matchLabels: kube.selector('cert-manager', 'webhook') },
      policyTypes: ['Ingress'],
      ingress: [{ ports: [{ port: 10250, protocol: 'TCP' }] }],
    }),
    [if config.metricsFrom != null then 'allowMetrics']: kube.networkPolicy('allow-metrics', namespace, {
      podSelector: {
        matchLabels: { 'app.kubernetes.io/name': 'cert-manager' },
        matchExpressions: [{
          key: 'app.kubernetes.io/component',
          operator: 'In',
          // Below 1.16 the injector has none.
          values: ['controller'] + (if release >= 16 then ['cainjector'] else []),
        }],
      },
      policyTypes: ['Ingress'],
      ingress: [{
        from: [{ namespaceSelector: if config.metricsFrom == {} then {} else { matchLabels: config.metricsFrom } }],
        ports: [{ port: metrics.containerPort, protocol: 'TCP' }],
      }],
    }),
    // ACME servers listen on 443; before a challenge of type HTTP-01 is offered to them, it is tried on 80 and 443.
    [if config.acme || config.egress != [] then 'allowOut']: kube.networkPolicy('allow-out', namespace, {
      podSelector: { matchLabels: kube.selector('cert-manager', 'controller') },
      policyTypes: ['Egress'],
      egress: (if config.acme then [{ ports: [{ port: port, protocol: 'TCP' } for port in [80, 443]] }] else []) + config.egress,
    }),

    controllerAccount: kube.serviceAccount('cert-manager', namespace),
    controller: deployment('cert-manager', 'controller', tagged(config.image), config.controller, {
      args: [
        '--cluster-resource-namespace=$(POD_NAMESPACE)',
        '--leader-election-namespace=$(POD_NAMESPACE)',
        '--acme-http01-solver-image=' + tagged(config.solverImage),
      ],
      ports: [metrics] + (if release >= 12 then [{ containerPort: 9403, name: 'http-healthz', protocol: 'TCP' }] else []),
      readinessProbe: open('http-metrics'),
      // From 1.12 on it says whether it has lost its lease without noticing
      // (https://cert-manager.io/docs/installation/best-practice/#use-liveness-probes).
      livenessProbe: if release < 12 then open('http-metrics') else {
        httpGet: { path: '/livez', port: 'http-healthz', scheme: 'HTTP' },
        initialDelaySeconds: 10,
        periodSeconds: 10,
        timeoutSeconds: 15,
        failureThreshold: 8,
      },
    }) + {
      // The image is run by pods that the controller makes for challenges, so no container names it.
      metadata+: { annotations: { 'slipway.io/images': tagged(config.solverImage) } },
    },

    webhookAccount: kube.serviceAccount('cert-manager-webhook', namespace),
    webhook: deployment('cert-manager-webhook', 'webhook', tagged(config.webhookImage), config.webhook, webhook.container),
    webhookService: webhook.service(namespace),

    cainjectorAccount: kube.serviceAccount('cert-manager-cainjector', namespace),
    // Below 1.16 the injector listens on nothing, so nothing can be asked.
    cainjector: deployment('cert-manager-cainjector', 'cainjector', tagged(config.cainjectorImage), config.cainjector, {
      args: ['--leader-election-namespace=$(POD_NAMESPACE)'],
      [if release >= 16 then 'ports']: [metrics],
      [if release >= 16 then 'livenessProbe']: open('http-metrics'),
    }),
  } + (if config.replicas == 1 then {} else {
         ['disruption-' + component]: kube.podDisruptionBudget(
           cluster.minor,
           if component == 'controller' then 'cert-manager' else 'cert-manager-' + component,
           namespace,
           kube.selector('cert-manager', component),
           { maxUnavailable: 1 }
         )
         for component in ['controller', 'webhook', 'cainjector']
       })
