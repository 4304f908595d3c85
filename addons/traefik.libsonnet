// Traefik, an ingress controller: serves Ingresses of its class, and its own kinds such as IngressRoute.
local definitions = import 'traefik/definitions.libsonnet';
local ingressController = import 'ingress/ingress-controllers.libsonnet';
local images = import 'lib/images.libsonnet';
local knobs = import 'lib/knobs.libsonnet';
local kube = import 'lib/kubernetes.libsonnet';
local pods = import 'lib/pods.libsonnet';
local versions = import 'lib/versions.libsonnet';

local name = 'traefik';
local namespace = 'traefik';
// v3.1 and later read EndpointSlices, of which 1.21 is the first to serve v1; v3.0.4 is the last that reads Endpoints
// (https://doc.traefik.io/traefik/migrate/v3/#v30-to-v31, https://github.com/traefik/traefik/releases).
local readsSlices(minor) = versions.atLeast(minor, 21);
local image(minor) = 'docker.io/library/traefik:' + (if readsSlices(minor) then 'v3.7.13' else 'v3.0.4');

local port = { http: 8000, https: 8443, metrics: 9100, ping: 8080 };
local dynamic = '/etc/traefik/dynamic';
local certificate = '/etc/traefik/certificate';

local defaults(minor) = {
  image: image(minor),
  // Which kinds it reads: Ingresses, and those of its own.
  providers: { kubernetesIngress: true, kubernetesCRD: true },
  logLevel: 'INFO',
  // Further arguments, such as '--entryPoints.websecure.forwardedHeaders.trustedIPs=10.0.0.0/8'.
  extraArgs: [],
  // How long it goes on answering after it was told to end, so that balancers learn of it from /ping.
  shutdownDelay: '10s',
  terminationGracePeriodSeconds: 60,
  resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '512Mi' } },
  priorityClassName: null,
  serviceAnnotations: {},
  // Labels of the namespaces whose pods may read metrics; all where none are said.
  metricsFrom: {},
  // Further egress rules of its NetworkPolicy.
  egress: [],
};

local read = ['list', 'watch'];
local rule(group, resources, verbs) = { apiGroups: [group], resources: resources, verbs: verbs };

// It asks for everything by lists that it watches, so it needs no `get`.
local rules(minor, providers) =
  [
    rule('', ['services'], read),
    rule('', ['secrets'], read),
    if readsSlices(minor) then rule('discovery.k8s.io', ['endpointslices'], read) else rule('', ['endpoints'], read),
  ] +
  (if readsSlices(minor) then [rule('', ['nodes'], read)] else []) +
  (
    if !providers.kubernetesIngress then []
    else [
      rule('networking.k8s.io', ['ingresses', 'ingressclasses'], read),
      rule('networking.k8s.io', ['ingresses/status'], ['update']),
    ]
  ) +
  (
    if !providers.kubernetesCRD then []
    else [rule('traefik.io', definitions.plurals, read)] +
         (if readsSlices(minor) then [rule('', ['configmaps'], read)] else [])
  );

local arguments(config) =
  local shown =
    if config.expose == 'hostPort' then config.hostPorts.https
    else if config.nodePorts.https != null && config.expose == 'nodePort' then config.nodePorts.https
    else 443;
  local entryPoint(entry, number) = '--entryPoints.%s.address=:%d' % [entry, number];
  [
    '--global.checkNewVersion=false',
    '--global.sendAnonymousUsage=false',
    '--log.format=json',
    '--log.level=' + config.logLevel,
    entryPoint('web', port.http),
    entryPoint('websecure', port.https),
    entryPoint('metrics', port.metrics),
    // The entry point of /ping; the API and the dashboard are off.
    entryPoint('traefik', port.ping),
    '--entryPoints.websecure.http.tls=true',
    '--entryPoints.web.transport.lifeCycle.requestAcceptGraceTimeout=' + config.shutdownDelay,
    '--entryPoints.websecure.transport.lifeCycle.requestAcceptGraceTimeout=' + config.shutdownDelay,
    '--ping=true',
    '--metrics.prometheus=true',
    '--metrics.prometheus.entryPoint=metrics',
    // What holds for TLS everywhere stands in a file, which needs none of its own kinds.
    '--providers.file.filename=%s/tls.yaml' % dynamic,
    '--providers.file.watch=false',
  ] +
  (
    if !config.redirectToHTTPS then []
    else [
      '--entryPoints.web.http.redirections.entryPoint.to=:%d' % shown,
      '--entryPoints.web.http.redirections.entryPoint.scheme=https',
    ]
  ) +
  (
    if !config.accessLog then []
    else ['--accessLog=true', '--accessLog.format=json', '--accessLog.fields.headers.defaultMode=drop']
  ) +
  (
    if !config.providers.kubernetesIngress then []
    else [
      '--providers.kubernetesIngress=true',
      // A Service without pods is answered with 503 and not with 404, as if there were no Ingress.
      '--providers.kubernetesIngress.allowEmptyServices=true',
      // Without a class of its own it would serve Ingresses that name none, beside whoever is the default.
      '--providers.kubernetesIngress.ingressClass=' + name,
    ] + (
      if config.publishAddress != null then
        // An address has colons, or nothing but digits between its dots.
        local isAddress =
          std.length(std.findSubstr(':', config.publishAddress)) > 0 ||
          std.stripChars(config.publishAddress, '.0123456789') == '';
        ['--providers.kubernetesIngress.ingressEndpoint.%s=%s' % [
          if isAddress then 'ip' else 'hostname',
          config.publishAddress,
        ]]
      else if config.expose == 'loadBalancer' then
        ['--providers.kubernetesIngress.ingressEndpoint.publishedService=%s/%s' % [namespace, name]]
      else []
    )
  ) +
  (
    if !config.providers.kubernetesCRD then []
    else ['--providers.kubernetesCRD=true', '--providers.kubernetesCRD.allowEmptyServices=true']
  ) +
  config.extraArgs;

function(cluster, params)
  local config = knobs(name, cluster.addons.traefik + defaults(cluster.minor), params);
  local labels = kube.labels(name);
  local selector = kube.selector(name);
  local controller = ingressController(cluster, config, port {
    name: name,
    namespace: namespace,
    labels: labels,
    selector: selector,
  });
  local probe = { httpGet: { path: '/ping', port: 'ping' }, periodSeconds: 10, timeoutSeconds: 2 };
  local hasCertificate = config.defaultCertificate != null;
  local settings = kube.configMap(name, namespace, {
    'tls.yaml': std.lines([
      'tls:',
      '  options:',
      '    default:',
      '      minVersion: VersionTLS' + std.strReplace(config.tlsMinVersion, '.', ''),
    ] + if !hasCertificate then [] else [
      '  stores:',
      '    default:',
      '      defaultCertificate:',
      '        certFile: %s/tls.crt' % certificate,
      '        keyFile: %s/tls.key' % certificate,
    ]),
  });
  (if config.providers.kubernetesCRD then definitions.objects else {}) +
  controller.disruptionBudgets + controller.certificates + {
    namespace: controller.namespace,
    denyPolicy: controller.policies.deny,
    dnsPolicy: controller.policies.dns,
    apiPolicy: controller.policies.api,
    policy: controller.policies.own,
    account: kube.serviceAccount(name, namespace),
    role: kube.clusterRole(name, rules(cluster.minor, config.providers)),
    binding: kube.clusterRoleBinding(name, name, [kube.account(name, namespace)]),
    class: kube.object('networking.k8s.io/v1', 'IngressClass', name) + {
      metadata+: {
        [if config.defaultClass then 'annotations']: { 'ingressclass.kubernetes.io/is-default-class': 'true' },
      },
      spec: { controller: 'traefik.io/ingress-controller' },
    },
    settings: settings,
    service: controller.service,
    metricsService: controller.metricsService,
    workload: controller.workload({
      // It reads neither again while it runs.
      metadata+: { annotations: pods.restartOn(settings) + controller.restartOnCertificate },
      spec+: {
        serviceAccountName: name,
        automountServiceAccountToken: true,
        terminationGracePeriodSeconds: config.terminationGracePeriodSeconds,
        securityContext: pods.nonRoot(65532),
        containers: [{
          name: name,
          image: images(cluster, config)(config.image),
          args: arguments(config),
          ports: controller.ports + [{ name: 'ping', containerPort: port.ping, protocol: 'TCP' }],
          readinessProbe: probe { failureThreshold: 1 },
          livenessProbe: probe { failureThreshold: 3 },
          resources: config.resources,
          securityContext: pods.locked,
          volumeMounts: [
            { name: 'settings', mountPath: dynamic, readOnly: true },
            { name: 'tmp', mountPath: '/tmp' },
          ] + (if hasCertificate then [{ name: 'certificate', mountPath: certificate, readOnly: true }] else []),
        }],
        volumes: [
          { name: 'settings', configMap: { name: name } },
          // Middlewares that hold requests back write what is too large for memory.
          { name: 'tmp', emptyDir: {} },
        ] + (
          if hasCertificate then [{ name: 'certificate', secret: { secretName: controller.certificates.certificate.metadata.name } }]
          else []
        ),
      },
    }),
  }
