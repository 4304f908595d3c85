// Typha asks the API once for what the agents of many nodes follow. Agents and Typha show each other certificates.
local kube = import '../lib/kubernetes.libsonnet';
local pods = import '../lib/pods.libsonnet';

local name = 'calico-typha';
local uid = 999;
local port = 5473;
local tlsDir = '/etc/calico/tls';
// Common names of the certificates addons/typha and addons/calico-node.
local server = 'slipway:typha';
local client = 'slipway:calico-node';

// One for each 150 nodes and three at least, as upstream advises (one for 100 to 200, three in production); each needs
// a node of its own, since its port is one of the host's network.
local replicas(nodes) = std.max(1, std.min(nodes, std.max(3, std.ceil(nodes / 150))));

local secret(cluster, secretName, namespace, leaf, component) =
  kube.certificate(cluster, secretName, namespace, leaf) + kube.labelled('calico', component);

local mount = { name: 'typha-tls', mountPath: tlsDir, readOnly: true };
local volume(secretName, mode) = { name: 'typha-tls', secret: { secretName: secretName, defaultMode: mode } };
local restartOn(pem) = { 'slipway.io/certificate': std.substr(std.md5(pem), 0, 16) };

{
  wanted(cluster, config)::
    if config.typha.enabled == 'auto' then cluster.nodeCount > 50 else config.typha.enabled,

  absent:: { objects: {}, agentEnv: {}, agentMounts: [], agentVolumes: [], agentAnnotations: {} },

  present(cluster, config, namespace, image):: {
    agentEnv: {
      FELIX_TYPHAK8SSERVICENAME: name,
      FELIX_TYPHAK8SNAMESPACE: namespace,
      FELIX_TYPHACAFILE: tlsDir + '/ca.crt',
      FELIX_TYPHACERTFILE: tlsDir + '/tls.crt',
      FELIX_TYPHAKEYFILE: tlsDir + '/tls.key',
      FELIX_TYPHACN: server,
    },
    agentMounts: [mount],
    agentVolumes: [volume('calico-node-tls', 256)],  // 0400
    agentAnnotations: restartOn(cluster.certificates['addons/calico-node']),

    local selector = kube.selector('calico', 'typha'),
    local count = if config.typha.replicas == null then replicas(cluster.nodeCount) else config.typha.replicas,
    local grace = 300,
    local env = {
      KUBERNETES_SERVICE_HOST: cluster.nodeApi.host,
      KUBERNETES_SERVICE_PORT: '%d' % cluster.nodeApi.port,
      TYPHA_DATASTORETYPE: 'kubernetes',
      TYPHA_CONNECTIONREBALANCINGMODE: 'kubernetes',
      TYPHA_K8SNAMESPACE: namespace,
      TYPHA_K8SSERVICENAME: name,
      TYPHA_HEALTHENABLED: 'true',
      TYPHA_LOGSEVERITYSCREEN: 'info',
      TYPHA_LOGFILEPATH: 'none',
      TYPHA_LOGSEVERITYSYS: 'none',
      TYPHA_SHUTDOWNTIMEOUTSECS: '%d' % grace,
      TYPHA_CAFILE: tlsDir + '/ca.crt',
      TYPHA_SERVERCERTFILE: tlsDir + '/tls.crt',
      TYPHA_SERVERKEYFILE: tlsDir + '/tls.key',
      TYPHA_CLIENTCN: client,
    } + (
      if !config.metrics.enabled then {}
      else { TYPHA_PROMETHEUSMETRICSENABLED: 'true', TYPHA_PROMETHEUSMETRICSPORT: '%d' % config.metrics.typhaPort }
    ),
    local check(path) = {
      httpGet: { path: path, port: 9098, host: 'localhost' },
      timeoutSeconds: 10,
    },
    objects: {
      typhaTLS: secret(cluster, 'calico-typha-tls', namespace, 'addons/typha', 'typha'),
      agentTLS: secret(cluster, 'calico-node-tls', namespace, 'addons/calico-node', 'node'),
      typhaService: kube.service(name, namespace, selector, [
        { name: 'calico-typha', port: port, targetPort: 'calico-typha', protocol: 'TCP' },
      ]) + kube.labelled('calico', 'typha'),
      typhaBudget: kube.podDisruptionBudget(cluster.minor, name, namespace, selector, { maxUnavailable: 1 })
                   + kube.labelled('calico', 'typha'),
      typha: kube.workload('Deployment', name, namespace, 'calico', 'typha') + {
        spec+: {
          replicas: count,
          // The next ones come up beside those before, so agents move over once and not from one to the next.
          strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '100%', maxUnavailable: 1 } },
          template+: {
            metadata+: {
              labels+: { 'k8s-app': name },
              annotations: restartOn(cluster.certificates['addons/typha']),
            },
            spec+: {
              serviceAccountName: name,
              automountServiceAccountToken: true,
              // No pod has a network before Typha is there.
              hostNetwork: true,
              nodeSelector: pods.linux,
              tolerations: pods.everywhere,
              affinity: pods.apart(selector),
              priorityClassName: 'system-cluster-critical',
              terminationGracePeriodSeconds: grace,
              securityContext: pods.nonRoot(uid),
              containers: [{
                name: name,
                image: image(config.images.typha),
                env: [{ name: key, value: env[key] } for key in std.objectFields(env)],
                ports: [{ name: 'calico-typha', containerPort: port, protocol: 'TCP' }] + (
                  if config.metrics.enabled then [{ name: 'metrics', containerPort: config.metrics.typhaPort, protocol: 'TCP' }] else []
                ),
                resources: config.typhaResources,
                securityContext: pods.locked,
                livenessProbe: check('/liveness') { periodSeconds: 30, initialDelaySeconds: 30 },
                readinessProbe: check('/readiness') { periodSeconds: 10 },
                volumeMounts: [mount],
              }],
              volumes: [volume('calico-typha-tls', 288)],  // 0440: of the group that fsGroup names
            },
          },
        },
      },
      [if config.metrics.enabled then 'typhaMetrics']:
        kube.service(name + '-metrics', namespace, selector, [
          { name: 'metrics', port: config.metrics.typhaPort, targetPort: 'metrics' },
        ]) + kube.labelled('calico', 'typha') + { spec+: { clusterIP: 'None' } },
    },
  },
}
