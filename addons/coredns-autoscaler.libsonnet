// The cluster-proportional-autoscaler, which sets the number of CoreDNS's replicas by that of nodes and cores.
// Facts: https://github.com/kubernetes-sigs/cluster-proportional-autoscaler.
local kube = import 'lib/kubernetes.libsonnet';
local pods = import 'lib/pods.libsonnet';

// `own` has what CoreDNS decides: name, namespace, target, image, tolerations and egress of a NetworkPolicy.
function(cluster, config, own)
  local labelled = kube.labelled(own.name);
  local account = kube.account(own.name, own.namespace);
  local scale = config.autoscale;
{
  scalerAccount: kube.serviceAccount(own.name, own.namespace) + labelled,
  // Nodes belong to no namespace; the rest is bound to one Deployment and one ConfigMap.
  scalerRole: kube.clusterRole('system:' + own.name, [
    { apiGroups: [''], resources: ['nodes'], verbs: ['list', 'watch'] },
  ]) + labelled,
  scalerBinding: kube.clusterRoleBinding('system:' + own.name, 'system:' + own.name, [account]) + labelled,
  scalerTargetRole: kube.role(own.name, own.namespace, [
    { apiGroups: ['apps'], resources: ['deployments/scale'], resourceNames: [own.target], verbs: ['get', 'update'] },
    { apiGroups: [''], resources: ['configmaps'], resourceNames: [own.name], verbs: ['get'] },
  ]) + labelled,
  scalerTargetBinding: kube.roleBinding(own.name, own.namespace, own.name, [account]) + labelled,
  // It reads this anew at each poll.
  scalerConfig: kube.configMap(own.name, own.namespace, {
    linear: std.manifestJsonEx({
      coresPerReplica: scale.coresPerReplica,
      nodesPerReplica: scale.nodesPerReplica,
      min: scale.min,
      [if scale.max != null then 'max']: scale.max,
      preventSinglePointFailure: scale.min > 1,
      includeUnschedulableNodes: true,
    }, '  '),
  }) + labelled,
  scaler: kube.workload('Deployment', own.name, own.namespace, own.name) + {
    spec+: {
      replicas: 1,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } },
      template+: {
        spec+: {
          serviceAccountName: own.name,
          automountServiceAccountToken: true,
          priorityClassName: 'system-cluster-critical',
          nodeSelector: pods.linux,
          tolerations: own.tolerations,
          securityContext: pods.nonRoot(65534),
          containers: [{
            name: 'autoscaler',
            image: own.image,
            command: ['/cluster-proportional-autoscaler'],
            args: [
              '--namespace=' + own.namespace,
              '--configmap=' + own.name,
              '--target=deployment/' + own.target,
              '--logtostderr=true',
              '--v=2',
            ],
            livenessProbe: { httpGet: { path: '/healthz', port: 8080 }, initialDelaySeconds: 10, timeoutSeconds: 5 },
            readinessProbe: { httpGet: { path: '/last-poll', port: 8080 }, timeoutSeconds: 5 },
            resources: config.autoscalerResources,
            securityContext: pods.locked,
          }],
        },
      },
    },
  },
  scalerPolicy: kube.networkPolicy(own.name, own.namespace, {
    podSelector: { matchLabels: kube.selector(own.name) },
    policyTypes: ['Ingress', 'Egress'],
    egress: own.egress,
  }) + labelled,
}
