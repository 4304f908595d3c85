// The controller: one pod with a home of its own, configured by code, with plugins of pinned versions.
local claim = import '../lib/claim.libsonnet';
local kube = import '../lib/kubernetes.libsonnet';
local pods = import '../lib/pods.libsonnet';
local yaml = import '../lib/yaml.libsonnet';
local names = import 'names.libsonnet';

local namespace = names.controller;
local home = '/var/jenkins_home';

function(cluster, config, image, credentials, casc, agents, trust)
  local selector = names.controllerPods;
  local homeClaim = claim(cluster, 'jenkins-home', namespace, config.storage);
  local plugins = kube.configMap('jenkins-plugins', namespace, {
    'plugins.txt': std.join('', ['%s:%s\n' % [name, config.plugins[name]] for name in std.objectFields(config.plugins)]),
    'fetch.sh': importstr 'init/plugins.sh',
  }) + kube.labelled('jenkins', 'controller');
  local text = yaml(casc);
  local configuration = kube.configMap('jenkins-configuration', namespace, {
    'jenkins.yaml': text,
  }) + kube.labelled('jenkins', 'controller') + {
    // The images of agents, whose pods the controller makes.
    metadata+: { annotations: { 'slipway.io/images': std.join('\n', agents.images) } },
  };
  local static = agents.nodes != [];
  local init = kube.configMap('jenkins-init', namespace, {
    'agentSecrets.groovy': importstr 'init/agentSecrets.groovy',
  }) + kube.labelled('jenkins', 'controller');
  local mirror = if config.updateCenter == null then null else std.rstripChars(config.updateCenter, '/');
  local answers = { httpGet: { path: '/login', port: 'http', scheme: 'HTTP' }, periodSeconds: 10, timeoutSeconds: 5 };
  local host = if config.url == null then null else std.split(std.split(std.split(config.url, '://')[1], '/')[0], ':')[0];

  {
    namespace: kube.namespace(namespace, 'restricted'),
    account: kube.serviceAccount('jenkins', namespace) + kube.labelled('jenkins', 'controller'),
    // What the plugin needs to run an agent as a pod, and only where agents run
    // (https://github.com/jenkinsci/kubernetes-plugin#running-in-kubernetes).
    agentsRole: kube.role('jenkins', names.agents, [
      { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch', 'create', 'delete'] },
      { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] },
      { apiGroups: [''], resources: ['events'], verbs: ['get', 'list', 'watch'] },
    ]) + kube.labelled('jenkins', 'controller'),
    agentsBinding: kube.roleBinding('jenkins', names.agents, 'jenkins', [kube.account('jenkins', namespace)])
                   + kube.labelled('jenkins', 'controller'),
    plugins: plugins,
    configuration: configuration,
    [if static then 'init']: init,
    service: kube.service('jenkins', namespace, selector, [
      { name: 'http', port: config.ports.http, targetPort: 'http' },
      { name: 'agent', port: config.ports.agent, targetPort: 'agent' },
    ]) + kube.labelled('jenkins', 'controller'),
    controller: kube.object('apps/v1', 'StatefulSet', 'jenkins', namespace) + kube.labelled('jenkins', 'controller') + {
      spec: {
        serviceName: 'jenkins',
        replicas: 1,
        revisionHistoryLimit: 3,
        updateStrategy: { type: 'RollingUpdate' },
        selector: { matchLabels: selector },
        template: {
          metadata: {
            labels: kube.labels('jenkins', 'controller'),
            annotations: pods.restartOn({
              data: [std.md5(text), plugins.data, credentials.ids] + (if static then [init.data] else []) + trust.data,
            }),
          },
          spec: {
            serviceAccountName: 'jenkins',
            automountServiceAccountToken: true,
            enableServiceLinks: false,
            // Runs are written down before it ends.
            terminationGracePeriodSeconds: 120,
            securityContext: pods.nonRoot(1000) + { fsGroupChangePolicy: 'OnRootMismatch' },
            nodeSelector: pods.linux + config.nodeSelector,
            initContainers: trust.initContainers(image(config.image)) + [{
              name: 'plugins',
              image: image(config.image),
              command: [
                '/bin/sh',
                '/etc/slipway/plugins/fetch.sh',
                '/etc/slipway/plugins/plugins.txt',
                home,
                image(config.image),
              ],
              env: [{ name: 'CACHE_DIR', value: '/tmp/plugins' }] + (if mirror == null then [] else [
                                                                       // https://github.com/jenkinsci/plugin-installation-manager-tool#advanced-configuration
                                                                       { name: 'JENKINS_UC', value: mirror },
                                                                       { name: 'JENKINS_UC_DOWNLOAD_URL', value: mirror + '/download/plugins' },
                                                                       { name: 'JENKINS_PLUGIN_INFO', value: mirror + '/plugin-versions.json' },
                                                                     ]) + trust.environment,
              resources: config.pluginResources,
              securityContext: pods.locked,
              volumeMounts: [
                { name: 'plugin-list', mountPath: '/etc/slipway/plugins', readOnly: true },
                { name: 'home', mountPath: home },
                { name: 'tmp', mountPath: '/tmp' },
              ] + trust.mounts,
            }],
            containers: [{
              name: 'jenkins',
              image: image(config.image),
              env: [
                { name: 'JAVA_OPTS', value: std.join(' ', ['-Djenkins.install.runSetupWizard=false'] + config.jvmArgs) },
                { name: 'JENKINS_OPTS', value: '--httpPort=%d' % config.ports.http },
                { name: 'JENKINS_SLAVE_AGENT_PORT', value: '%d' % config.ports.agent },
                // The file, and not its folder, in which a ConfigMap has links to itself.
                { name: 'CASC_JENKINS_CONFIG', value: '/etc/slipway/casc/jenkins.yaml' },
              ] + (if static then [{ name: 'SLIPWAY_AGENTS', value: agents.secrets }] else []) + trust.environment,
              ports: [
                { name: 'http', containerPort: config.ports.http, protocol: 'TCP' },
                { name: 'agent', containerPort: config.ports.agent, protocol: 'TCP' },
              ],
              // Plugins and old runs are read before it answers: a quarter of an hour, then it is started anew.
              startupProbe: answers { failureThreshold: 90 },
              readinessProbe: answers { failureThreshold: 3 },
              livenessProbe: answers { failureThreshold: 12 },
              resources: config.resources,
              securityContext: pods.locked,
              volumeMounts: [
                { name: 'home', mountPath: home },
                { name: 'configuration', mountPath: '/etc/slipway/casc', readOnly: true },
                { name: 'credentials', mountPath: credentials.folder, readOnly: true },
                { name: 'tmp', mountPath: '/tmp' },
              ] + (if static then [{ name: 'init', mountPath: home + '/init.groovy.d', readOnly: true }] else []) + trust.mounts,
            }],
            volumes: [
              { name: 'home', persistentVolumeClaim: { claimName: homeClaim.name } },
              { name: 'plugin-list', configMap: { name: 'jenkins-plugins' } },
              { name: 'configuration', configMap: { name: 'jenkins-configuration' } },
              { name: 'credentials', secret: { secretName: 'jenkins-credentials', defaultMode: std.parseOctal('440') } },
              { name: 'tmp', emptyDir: { sizeLimit: '2Gi' } },
            ] + (if static then [{ name: 'init', configMap: { name: 'jenkins-init' } }] else []) + trust.volumes,
          },
        },
      },
    },
    [if config.ingress != null then 'ingress']:
      kube.object('networking.k8s.io/v1', 'Ingress', 'jenkins', namespace) + kube.labelled('jenkins', 'controller') + {
        metadata+: { annotations: config.ingressAnnotations },
        spec: {
          [if config.ingress.className != null then 'ingressClassName']: config.ingress.className,
          [if config.ingress.tlsSecret != null then 'tls']: [{ hosts: [host], secretName: config.ingress.tlsSecret }],
          rules: [{
            host: host,
            http: {
              paths: [{
                path: '/',
                pathType: 'Prefix',
                backend: { service: { name: 'jenkins', port: { name: 'http' } } },
              }],
            },
          }],
        },
      },
  } + { ['home-' + key]: homeClaim.objects[key] for key in std.objectFields(homeClaim.objects) }
