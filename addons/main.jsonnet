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
    flannel: cluster.addons.flannel,
    coredns: cluster.addons.coredns,
    nodeLocalDNS: cluster.addons.nodeLocalDNS,
  },

  '00-cluster-rbac': (import '00-cluster-rbac.libsonnet')($.values.clusterRbac),
  // Where every pool with GPUs has nvidia's runtime as its default, pods need not name it.
  [if std.any([!pool.defaultRuntime for pool in cluster.gpuPools]) then '20-runtime-classes']:
    (import '20-runtime-classes.libsonnet')($.values.runtimeClasses),
  [if cluster.networkPlugin == 'flannel' then '10-network']:
    (import 'flannel.libsonnet')(cluster, $.values.flannel),
  [if cluster.addons.coredns.enabled then '30-coredns']:
    (import 'coredns.libsonnet')(cluster, $.values.coredns),
  [if cluster.addons.nodeLocalDNS.enabled then '31-node-local-dns']:
    (import 'node-local-dns.libsonnet')(cluster, $.values.nodeLocalDNS),
}
