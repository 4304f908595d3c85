// Kubernetes dashboard 2.7.0 with its scraper of metrics. docs/addons/dashboard.md compares it with upstream.
// 2.7.0 is the last release that is one program: 7.x is four behind a gateway, Kong, and comes as a Helm chart alone
// (https://github.com/kubernetes-retired/dashboard#installation). Both ended on 2026-01-21.
local images = import 'lib/images.libsonnet';
local knobs = import 'lib/knobs.libsonnet';
local kube = import 'lib/kubernetes.libsonnet';
local policies = import 'lib/network-policies.libsonnet';
local pods = import 'lib/pods.libsonnet';

local namespace = 'kubernetes-dashboard';
local page = 'kubernetes-dashboard';
local scraper = 'dashboard-metrics-scraper';

local defaults = {
  image: 'docker.io/kubernetesui/dashboard:v2.7.0',
  scraperImage: 'docker.io/kubernetesui/metrics-scraper:v1.0.8',
  resources: { requests: { cpu: '20m', memory: '64Mi' }, limits: { memory: '256Mi' } },
  scraperResources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { memory: '128Mi' } },
  // Seconds after which people must log in again, however long their token holds.
  tokenTTL: 900,
  extraArgs: knobs.strings,
  // The page speaks TLS only, which ingress-nginx and Traefik must be told.
  ingressAnnotations: knobs.labels({ 'nginx.ingress.kubernetes.io/backend-protocol': 'HTTPS' }),
  serviceAnnotations: knobs.labels({ 'traefik.ingress.kubernetes.io/service.serversscheme': 'https' }),
};

local objects(cluster, config) =
  local image = images(cluster, config);

  local deployment(name, component, replicas, container, volumes) =
    kube.workload('Deployment', name, namespace, 'dashboard', component) + {
      spec+: {
        replicas: replicas,
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        template+: {
          spec+: {
            serviceAccountName: name,
            automountServiceAccountToken: true,
            enableServiceLinks: false,
            securityContext: pods.nonRoot(1001),
            nodeSelector: pods.linux,
            affinity: pods.apart(kube.selector('dashboard', component)),
            containers: [container { name: component, securityContext: pods.locked }],
            // Both write into /tmp: the page what people upload, the scraper its database.
            volumes: volumes + [{ name: 'tmp', emptyDir: { sizeLimit: '64Mi' } }],
          },
        },
      },
    };
  local answers(path, port, scheme) = {
    readinessProbe: { httpGet: { path: path, port: port, scheme: scheme }, periodSeconds: 10, timeoutSeconds: 5 },
    livenessProbe: {
      httpGet: { path: path, port: port, scheme: scheme },
      initialDelaySeconds: 30,
      timeoutSeconds: 30,
    },
  };
  local tmp = { name: 'tmp', mountPath: '/tmp' };
  // The program fills these in. Declared without data, they leave apply nothing to overwrite.
  local filledByItself(name) = kube.object('v1', 'Secret', name, namespace) + kube.labelled('dashboard', 'page') + { type: 'Opaque' };

  {
    namespace: kube.namespace(namespace, 'restricted'),
    denyAll: kube.denyAll(namespace),
    allowDNS: kube.allowDNS(namespace),
    allowApi: policies.toApi(cluster, namespace),

    pageAccount: kube.serviceAccount(page, namespace),
    // Its own Secrets and settings, by name. What people see and do comes with the token that they log in with.
    pageRole: kube.role(page, namespace, [
      {
        apiGroups: [''],
        resources: ['secrets'],
        resourceNames: ['kubernetes-dashboard-csrf', 'kubernetes-dashboard-key-holder'],
        verbs: ['get', 'update'],
      },
      // The key that seals sessions is the one Secret that it makes itself: it writes that one whole, without our labels,
      // so declared here it would be a difference after every such write. A `create` cannot be bound to a name.
      { apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
      {
        apiGroups: [''],
        resources: ['configmaps'],
        resourceNames: ['kubernetes-dashboard-settings'],
        verbs: ['get', 'update'],
      },
    ]) + kube.labelled('dashboard', 'page'),
    pageBinding: kube.roleBinding(page, namespace, page, [kube.account(page, namespace)]) + kube.labelled('dashboard', 'page'),

    // tls.crt and tls.key, where you put them here, are what the page shows; else it makes a certificate at each start.
    certificates: filledByItself('kubernetes-dashboard-certs'),
    crossSite: filledByItself('kubernetes-dashboard-csrf'),
    settings: kube.object('v1', 'ConfigMap', 'kubernetes-dashboard-settings', namespace) + kube.labelled('dashboard', 'page'),

    page: deployment(page, 'page', config.replicas, {
      image: image(config.image),
      args: [
        '--namespace=' + namespace,
        '--auto-generate-certificates',
        '--tls-cert-file=tls.crt',
        '--tls-key-file=tls.key',
        '--authentication-mode=token',
        '--token-ttl=%d' % config.tokenTTL,
        // Asked directly, and not through the API server, which would need a right to its proxy.
        if config.metrics then '--sidecar-host=http://%s:8000' % scraper else '--metrics-provider=none',
      ] + config.extraArgs,
      ports: [{ containerPort: 8443, name: 'https', protocol: 'TCP' }],
      resources: config.resources,
      volumeMounts: [{ name: 'certificates', mountPath: '/certs', readOnly: true }, tmp],
    } + answers('/', 'https', 'HTTPS'), [
      { name: 'certificates', secret: { secretName: 'kubernetes-dashboard-certs', defaultMode: std.parseOctal('440') } },
    ]),
    pageService: kube.service(page, namespace, kube.selector('dashboard', 'page'), [
      { name: 'https', port: 443, targetPort: 'https', protocol: 'TCP' },
    ]) + { metadata+: { annotations: config.serviceAnnotations } },
    [if config.replicas > 1 then 'pageDisruption']: kube.podDisruptionBudget(
      cluster.minor, page, namespace, kube.selector('dashboard', 'page'), { maxUnavailable: 1 }
    ),
  } + (
    if !config.metrics then {} else {
      scraperAccount: kube.serviceAccount(scraper, namespace),
      scraperRole: kube.clusterRole(scraper, [
        { apiGroups: ['metrics.k8s.io'], resources: ['pods', 'nodes'], verbs: ['list'] },
      ]) + kube.labelled('dashboard', 'scraper'),
      scraperBinding: kube.clusterRoleBinding(scraper, scraper, [kube.account(scraper, namespace)])
                      + kube.labelled('dashboard', 'scraper'),
      scraper: deployment(scraper, 'scraper', 1, {
        image: image(config.scraperImage),
        ports: [{ containerPort: 8000, name: 'http', protocol: 'TCP' }],
        resources: config.scraperResources,
        volumeMounts: [tmp],
      } + answers('/', 'http', 'HTTP'), []),
      scraperService: kube.service(scraper, namespace, kube.selector('dashboard', 'scraper'), [
        { name: 'http', port: 8000, targetPort: 'http', protocol: 'TCP' },
      ]),
      allowToScraper: kube.networkPolicy('allow-to-scraper', namespace, {
        podSelector: { matchLabels: kube.selector('dashboard', 'page') },
        policyTypes: ['Egress'],
        egress: [{
          to: [{ podSelector: { matchLabels: kube.selector('dashboard', 'scraper') } }],
          ports: [{ port: 8000, protocol: 'TCP' }],
        }],
      }),
      allowFromPage: kube.networkPolicy('allow-from-page', namespace, {
        podSelector: { matchLabels: kube.selector('dashboard', 'scraper') },
        policyTypes: ['Ingress'],
        ingress: [{
          from: [{ podSelector: { matchLabels: kube.selector('dashboard', 'page') } }],
          ports: [{ port: 8000, protocol: 'TCP' }],
        }],
      }),
    }
  ) + (
    if config.ingress == null then {} else {
      ingress: kube.object('networking.k8s.io/v1', 'Ingress', page, namespace) + kube.labelled('dashboard', 'page') + {
        metadata+: { annotations: config.ingressAnnotations },
        spec: {
          [if config.ingress.className != null then 'ingressClassName']: config.ingress.className,
          tls: [{ hosts: [config.ingress.host], secretName: config.ingress.tlsSecret }],
          rules: [{
            host: config.ingress.host,
            http: {
              paths: [{
                path: '/',
                pathType: 'Prefix',
                backend: { service: { name: page, port: { name: 'https' } } },
              }],
            },
          }],
        },
      },
      allowIngress: kube.networkPolicy('allow-ingress-controller', namespace, {
        podSelector: { matchLabels: kube.selector('dashboard', 'page') },
        policyTypes: ['Ingress'],
        ingress: [{
          from: [policies.inNamespace(cluster, config.ingress.namespace)],
          ports: [{ port: 8443, protocol: 'TCP' }],
        }],
      }),
    }
  );

{ defaults(cluster): defaults, objects: objects }
