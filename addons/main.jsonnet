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
    etcdBackup: cluster.addons.etcdBackup,
  },

  '00-cluster-rbac': (import '00-cluster-rbac.libsonnet')($.values.clusterRbac),
  // Where every pool with GPUs has nvidia's runtime as its default, pods need not name it.
  [if std.any([!pool.defaultRuntime for pool in cluster.gpuPools]) then '20-runtime-classes']:
    (import '20-runtime-classes.libsonnet')($.values.runtimeClasses),
  [if cluster.addons.etcdBackup.enabled && cluster.etcdBackup.by == 'cronjob' then '70-etcd-backup']:
    (import 'etcd-backup.libsonnet')(cluster, $.values.etcdBackup),
}
