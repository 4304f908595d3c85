// Every API object that Slipway applies, by set and by name within it: a function of the cluster.
// A set is a folder of rendered/<c>/objects; its objects are applied together and pruned together.
// `values` are the parameters of each set: those of addons are their sections of cluster.yaml, and each addon's file
// says on top which further knobs it has. clusters/<c>/addons.jsonnet is added to the result with `+`:
//   { values+:: { coredns+: { resources+: { limits+: { memory: '340Mi' } } } } }
function(cluster) {
  values:: {
    clusterRbac: {
      nodes: cluster.nodes,
      anonymousPaths: cluster.anonymousPaths,
    },
    runtimeClasses: {
      gpuPools: cluster.gpuPools,
    },
    calico: cluster.addons.calico,
    flannel: cluster.addons.flannel,
    coredns: cluster.addons.coredns,
    nodeLocalDNS: cluster.addons.nodeLocalDNS,
    metricsServer: cluster.addons.metricsServer,
    localPath: cluster.addons.localPath,
    nodeProblemDetector: cluster.addons.nodeProblemDetector,
    gpuDevicePlugin: cluster.addons.gpuDevicePlugin,
    traefik: cluster.addons.traefik,
    ingressNginx: cluster.addons.ingressNginx,
    certManager: cluster.addons.certManager,
    dashboard: cluster.addons.dashboard,
    etcdBackup: cluster.addons.etcdBackup,
    jenkins: cluster.addons.jenkins,
  },

  '00-cluster-rbac': (import '00-cluster-rbac.libsonnet')($.values.clusterRbac),
  [if cluster.networkPlugin == 'calico' then '10-network']: (import 'calico.libsonnet')(cluster, $.values.calico),
  [if cluster.networkPlugin == 'flannel' then '10-network']: (import 'flannel.libsonnet')(cluster, $.values.flannel),
  // Where every pool with GPUs has nvidia's runtime as its default, pods need not name it.
  [if std.any([!pool.defaultRuntime for pool in cluster.gpuPools]) then '20-runtime-classes']:
    (import '20-runtime-classes.libsonnet')($.values.runtimeClasses),
  [if cluster.addons.coredns.enabled then '30-coredns']:
    (import 'coredns.libsonnet')(cluster, $.values.coredns),
  [if cluster.addons.nodeLocalDNS.enabled then '31-node-local-dns']:
    (import 'node-local-dns.libsonnet')(cluster, $.values.nodeLocalDNS),
  [if cluster.addons.metricsServer.enabled then '40-metrics-server']:
    (import 'metrics-server.libsonnet')(cluster, $.values.metricsServer),
  [if cluster.addons.localPath.enabled then '41-local-path']:
    (import 'local-path.libsonnet')(cluster, $.values.localPath),
  [if cluster.addons.nodeProblemDetector.enabled then '42-node-problem-detector']:
    (import 'node-problem-detector.libsonnet')(cluster, $.values.nodeProblemDetector),
  [if cluster.addons.gpuDevicePlugin.enabled then '43-gpu-device-plugin']:
    (import 'gpu-device-plugin.libsonnet')(cluster, $.values.gpuDevicePlugin),
  [if cluster.addons.traefik.enabled then '50-traefik']: (import 'traefik.libsonnet')(cluster, $.values.traefik),
  [if cluster.addons.ingressNginx.enabled then '51-ingress-nginx']:
    (import 'ingress-nginx.libsonnet')(cluster, $.values.ingressNginx),
  [if cluster.addons.certManager.enabled then '60-cert-manager']:
    (import 'cert-manager.libsonnet')(cluster, $.values.certManager),
  [if cluster.addons.dashboard.enabled then '61-dashboard']:
    (import 'dashboard.libsonnet')(cluster, $.values.dashboard),
  [if cluster.addons.jenkins.enabled then '65-jenkins']:
    (import 'jenkins.libsonnet')(cluster, $.values.jenkins),
  [if cluster.addons.etcdBackup.enabled && cluster.etcdBackup.by == 'cronjob' then '70-etcd-backup']:
    (import 'etcd-backup.libsonnet')(cluster, $.values.etcdBackup),
}
