// How traffic from outside comes to an ingress controller, and where its pods run: the same for all of them.
//
// `config` is the section of cluster.yaml with the addon's own knobs; `about` is what differs between controllers:
//   name       of the workload, the Service and the policies
//   namespace  in which they are
//   labels     of the pods; selector: those that never change
//   http, https, metrics  the ports on which the program listens in its pod
local kube = import '../lib/kubernetes.libsonnet';
local networkPolicies = import '../lib/network-policies.libsonnet';
local pods = import '../lib/pods.libsonnet';
local versions = import '../lib/versions.libsonnet';

function(cluster, config, about)
  local onHostPorts = config.expose == 'hostPort';
  local onBalancer = config.expose == 'loadBalancer';
  local daemonset = config.kind == 'daemonset';
  local policy =
    if config.externalTrafficPolicy != null then config.externalTrafficPolicy
    else if daemonset then 'Local'
    else 'Cluster';
  // A Service of both families: the field is there by default from 1.21 on.
  local dualStack = std.length(cluster.serviceCIDRs) > 1 && versions.atLeast(cluster.minor, 21);
  {
    // A hostPort is refused by every level but privileged
    // (https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline). The pods themselves keep to
    // `restricted` otherwise, whatever the namespace lets through.
    namespace: kube.namespace(about.namespace, if onHostPorts then 'privileged' else 'restricted'),

    // The container's ports; the pod network turns the hosts' ports to them.
    ports:: [
      {
        name: scheme,
        containerPort: about[scheme],
        protocol: 'TCP',
        [if onHostPorts then 'hostPort']: config.hostPorts[scheme],
      }
      for scheme in ['http', 'https']
    ] + [{ name: 'metrics', containerPort: about.metrics, protocol: 'TCP' }],

    service: kube.service(about.name, about.namespace, about.selector, [
      {
        name: scheme,
        port: { http: 80, https: 443 }[scheme],
        targetPort: scheme,
        protocol: 'TCP',
        [if !onHostPorts && config.nodePorts[scheme] != null then 'nodePort']: config.nodePorts[scheme],
      }
      for scheme in ['http', 'https']
    ]) + {
      metadata+: {
        labels+: about.labels,
        [if config.serviceAnnotations != {} then 'annotations']: config.serviceAnnotations,
      },
      spec+: {
        type: { hostPort: 'ClusterIP', nodePort: 'NodePort', loadBalancer: 'LoadBalancer' }[config.expose],
        [if dualStack then 'ipFamilyPolicy']: 'PreferDualStack',
        [if !onHostPorts then 'externalTrafficPolicy']: policy,
        [if onBalancer && config.loadBalancerClass != null then 'loadBalancerClass']: config.loadBalancerClass,
        [if onBalancer && config.loadBalancerSourceRanges != [] then 'loadBalancerSourceRanges']:
          config.loadBalancerSourceRanges,
      },
    },
    metricsService: kube.service(about.name + '-metrics', about.namespace, about.selector, [
      { name: 'metrics', port: about.metrics, targetPort: 'metrics', protocol: 'TCP' },
    ]) + { metadata+: { labels+: about.labels } },

    // Traffic comes from anywhere and goes to pods of every namespace, as Ingresses say. What else it may call, such as
    // backends outside of the cluster or on the hosts' network, is the knob `egress`.
    policies: {
      deny: kube.denyAll(about.namespace),
      dns: kube.allowDNS(about.namespace),
      api: networkPolicies.toApi(cluster, about.namespace),
      own: kube.networkPolicy(about.name, about.namespace, {
        podSelector: { matchLabels: about.selector },
        policyTypes: ['Ingress', 'Egress'],
        ingress: [
          { ports: [{ port: about[scheme], protocol: 'TCP' } for scheme in ['http', 'https']] },
          {
            from: [{ namespaceSelector: if config.metricsFrom == {} then {} else { matchLabels: config.metricsFrom } }],
            ports: [{ port: about.metrics, protocol: 'TCP' }],
          },
        ],
        egress: [{ to: [{ namespaceSelector: {} }] }] + config.egress,
      }),
    },

    // The DaemonSet or Deployment of a pod template. On host ports a new pod can only start where the old one has gone.
    workload(template): {
      apiVersion: 'apps/v1',
      kind: if daemonset then 'DaemonSet' else 'Deployment',
      metadata: { name: about.name, namespace: about.namespace, labels: about.labels },
      spec: {
        [if !daemonset then 'replicas']: config.replicas,
        revisionHistoryLimit: 3,
        selector: { matchLabels: about.selector },
        [if daemonset then 'updateStrategy' else 'strategy']: {
          type: 'RollingUpdate',
          rollingUpdate:
            if daemonset then { maxUnavailable: 1 }
            else if onHostPorts then { maxUnavailable: 1, maxSurge: 0 }
            else { maxUnavailable: 0, maxSurge: 1 },
        },
        template: {
          metadata: { labels: about.labels },
          spec: {
            nodeSelector: pods.linux + config.nodeSelector,
            [if config.tolerations != [] then 'tolerations']: std.prune(config.tolerations),
            [if !daemonset then 'affinity']: pods.apart(about.selector),
            [if config.priorityClassName != null then 'priorityClassName']: config.priorityClassName,
          },
        } + template,
      },
    },

    // The pods of a DaemonSet leave with their node, and kubectl drain passes over them.
    disruptionBudgets: if daemonset then {} else {
      disruptionBudget:
        kube.podDisruptionBudget(cluster.minor, about.name, about.namespace, about.selector, { maxUnavailable: 1 }),
    },

    // For programs that do not read the certificate again: an annotation of the pods that changes with it.
    restartOnCertificate::
      local key = if config.defaultCertificate == null then '' else config.defaultCertificate.key;
      { [if std.objectHas(cluster.secretIds, key) then 'slipway.io/certificate']: cluster.secretIds[key] },

    // The certificate for hosts of which no Ingress names one, from sealed secrets.
    certificates: if config.defaultCertificate == null then {} else {
      certificate: kube.object('v1', 'Secret', about.name + '-default-certificate', about.namespace) + {
        type: 'kubernetes.io/tls',
        data: {
          'tls.crt': { secret: config.defaultCertificate.certificate },
          'tls.key': { secret: config.defaultCertificate.key },
        },
      },
    },
  }
