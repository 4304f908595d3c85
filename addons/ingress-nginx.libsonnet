// ingress-nginx, an ingress controller that has ended: for clusters whose Ingresses carry its annotations already.
//
// Its admission webhook is off. It runs nginx on what anybody on the pod network sends it, which was CVE-2025-1974
// (https://kubernetes.io/blog/2025/03/24/ingress-nginx-cve-2025-1974/); without it an Ingress with a fault is found
// out by the controller, which passes over it and says so in its log and events.
local ingressController = import 'ingress/ingress-controllers.libsonnet';
local images = import 'lib/images.libsonnet';
local knobs = import 'lib/knobs.libsonnet';
local kube = import 'lib/kubernetes.libsonnet';
local pods = import 'lib/pods.libsonnet';
local versions = import 'lib/versions.libsonnet';

local name = 'ingress-nginx';
local namespace = 'ingress-nginx';
local component = 'controller';
local workload = 'ingress-nginx-controller';
local leader = 'ingress-nginx-leader';

// The newest version that was tested with a minor, the oldest of them first
// (https://github.com/kubernetes/ingress-nginx#supported-versions-table). 1.36 and later were tested with none.
local tested = [
  { from: 31, version: 'v1.15.1' },
  { from: 30, version: 'v1.14.5' },
  { from: 29, version: 'v1.13.9' },
  { from: 28, version: 'v1.12.8' },
  { from: 26, version: 'v1.11.8' },
  { from: 25, version: 'v1.9.6' },
  { from: 24, version: 'v1.8.4' },
  { from: 23, version: 'v1.6.4' },
  { from: 22, version: 'v1.4.0' },
  { from: 20, version: 'v1.3.1' },
];
local version(minor) = [one.version for one in tested if versions.atLeast(minor, one.from)][0];
// v1.4.0 and later read EndpointSlices (changelog of its chart 4.3.0).
local readsSlices(minor) = versions.atLeast(minor, 22);
// v1.9.0 and later judge annotations (https://github.com/kubernetes/ingress-nginx/pull/9673).
local judgesAnnotations(minor) = versions.atLeast(minor, 25);

local port = { http: 80, https: 443, metrics: 10254 };

local defaults(minor) = {
  image: 'registry.k8s.io/ingress-nginx/controller:' + version(minor),
  // Further arguments, such as '--enable-ssl-passthrough=true'.
  extraArgs: [],
  terminationGracePeriodSeconds: 300,
  resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '1Gi' } },
  priorityClassName: null,
  serviceAnnotations: {},
  // Labels of the namespaces whose pods may read metrics; all where none are said.
  metricsFrom: {},
  // Further egress rules of its NetworkPolicy.
  egress: [],
};

local read = ['list', 'watch'];
local rule(group, resources, verbs, names=null) = {
  apiGroups: [group],
  resources: resources,
  [if names != null then 'resourceNames']: names,
  verbs: verbs,
};

// By which of its flags Ingresses get their address; only the last way asks for nodes.
local published(config) =
  if config.publishAddress != null then ['--publish-status-address=' + config.publishAddress]
  else if config.expose == 'loadBalancer' then ['--publish-service=$(POD_NAMESPACE)/' + workload]
  else ['--report-node-internal-ip-address=true'];
local asksNodes(config) = config.publishAddress == null && config.expose != 'loadBalancer';

local clusterRules(minor, config) = [
  rule('', ['configmaps', 'secrets', 'services'], read),
  if readsSlices(minor) then rule('discovery.k8s.io', ['endpointslices'], read) else rule('', ['endpoints'], read),
  rule('networking.k8s.io', ['ingresses'], ['get'] + read),
  rule('networking.k8s.io', ['ingresses/status'], ['update']),
  rule('networking.k8s.io', ['ingressclasses'], read),
  rule('', ['events'], ['create', 'patch']),
] + (if asksNodes(config) then [rule('', ['nodes'], ['get'])] else []);

local ownRules(config) = [
  rule('', ['configmaps'], ['get'], [workload]),
  rule('', ['pods'], ['get'] + read),
  rule('coordination.k8s.io', ['leases'], ['create']),
  rule('coordination.k8s.io', ['leases'], ['get', 'update'], [leader]),
] + (
  if config.publishAddress == null && config.expose == 'loadBalancer' then [rule('', ['services'], ['get'], [workload])]
  else []
);

local settings(minor, config) = {
  // Snippets let whoever may write an Ingress write configuration of nginx (CVE-2021-25742).
  'allow-snippet-annotations': 'false',
} + (
  if judgesAnnotations(minor) then { 'annotations-risk-level': 'High', 'strict-validate-path-type': 'true' } else {}
) + config.config;

function(cluster, params)
  local config = knobs('ingressNginx', cluster.addons.ingressNginx + defaults(cluster.minor), params);
  local labels = kube.labels(name, component);
  local selector = kube.selector(name, component);
  local controller = ingressController(cluster, config, port {
    name: workload,
    namespace: namespace,
    labels: labels,
    selector: selector,
  });
  local account = [kube.account(name, namespace)];
  local probe = {
    httpGet: { path: '/healthz', port: 'metrics' },
    initialDelaySeconds: 10,
    periodSeconds: 10,
    timeoutSeconds: 1,
  };
  controller.disruptionBudgets + controller.certificates + {
    namespace: controller.namespace,
    denyPolicy: controller.policies.deny,
    dnsPolicy: controller.policies.dns,
    apiPolicy: controller.policies.api,
    policy: controller.policies.own,
    account: kube.serviceAccount(name, namespace),
    clusterRole: kube.clusterRole(name, clusterRules(cluster.minor, config)),
    clusterBinding: kube.clusterRoleBinding(name, name, account),
    role: kube.role(name, namespace, ownRules(config)),
    binding: kube.roleBinding(name, namespace, name, account),
    class: kube.object('networking.k8s.io/v1', 'IngressClass', 'nginx') + {
      metadata+: {
        [if config.defaultClass then 'annotations']: { 'ingressclass.kubernetes.io/is-default-class': 'true' },
      },
      spec: { controller: 'k8s.io/ingress-nginx' },
    },
    // The controller watches it, so its pods stay when it changes.
    settings: kube.configMap(workload, namespace, settings(cluster.minor, config)),
    service: controller.service,
    metricsService: controller.metricsService,
    workload: controller.workload({
      spec+: {
        serviceAccountName: name,
        automountServiceAccountToken: true,
        terminationGracePeriodSeconds: config.terminationGracePeriodSeconds,
        // www-data of its image.
        securityContext: pods.nonRoot(101) { runAsGroup: 82, fsGroup: 82 },
        containers: [{
          name: 'controller',
          image: images(cluster, config)(config.image),
          args: [
            '/nginx-ingress-controller',
            '--controller-class=k8s.io/ingress-nginx',
            '--ingress-class=nginx',
            '--configmap=$(POD_NAMESPACE)/' + workload,
            '--election-id=' + leader,
            '--enable-metrics=true',
          ] + (if judgesAnnotations(cluster.minor) then ['--enable-annotation-validation=true'] else []) + (
            if config.defaultCertificate == null then []
            else ['--default-ssl-certificate=$(POD_NAMESPACE)/' + controller.certificates.certificate.metadata.name]
          ) + published(config) + config.extraArgs,
          env: [
            { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
            { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
            { name: 'LD_PRELOAD', value: '/usr/local/lib/libmimalloc.so' },
          ],
          ports: controller.ports,
          readinessProbe: probe { failureThreshold: 3 },
          livenessProbe: probe { failureThreshold: 5 },
          // It lets connections end before it does.
          lifecycle: { preStop: { exec: { command: ['/wait-shutdown'] } } },
          resources: config.resources,
          // It writes its configuration into /etc/nginx of its own image. Its programs carry NET_BIND_SERVICE as a file
          // capability and do not start without (https://github.com/kubernetes/ingress-nginx/pull/7449).
          securityContext: pods.locked {
            readOnlyRootFilesystem: false,
            capabilities+: { add: ['NET_BIND_SERVICE'] },
          },
        }],
      },
    }),
  }
