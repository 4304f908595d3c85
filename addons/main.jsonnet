// Every API object that Slipway applies, by set and by name within it: a function of the cluster.
// A set is a folder of rendered/<c>/objects; its objects are applied together and pruned together.
// `values` is what clusters/<c>/addons.jsonnet tells an addon beyond its section of cluster.yaml; each addon's file says
// in `defaults` which knobs it has. That file is added to the result with `+`:
//   { values+:: { coredns+: { resources+: { limits+: { memory: '340Mi' } } } } }
local knobs = import 'lib/knobs.libsonnet';

function(cluster)
  // Each addon: its set, whether the cluster has it, what of it cluster.yaml says, and the file that makes its objects.
  local addon(name, set, file, on=cluster.addons[name].enabled) = {
    [name]: {
      set: set,
      on: on,
      spec: cluster.addons[name],
      defaults: file.defaults(cluster),
      objects(config): file.objects(cluster, config),
    },
  };
  local rbac = import '00-cluster-rbac.libsonnet';
  local classes = import '20-runtime-classes.libsonnet';
  local addons = {
    clusterRbac: {
      set: '00-cluster-rbac',
      on: true,
      spec: { nodes: cluster.nodes, anonymousPaths: cluster.anonymousPaths },
      defaults: rbac.defaults,
      objects: rbac.objects,
    },
    runtimeClasses: {
      set: '20-runtime-classes',
      // Where every pool with GPUs has nvidia's runtime as its default, pods need not name it.
      on: std.any([!pool.defaultRuntime for pool in cluster.gpuPools]),
      spec: { gpuPools: cluster.gpuPools },
      defaults: {},
      objects: classes,
    },
  }
  + addon('calico', '10-network', import 'calico.libsonnet', cluster.networkPlugin == 'calico')
  + addon('flannel', '10-network', import 'flannel.libsonnet', cluster.networkPlugin == 'flannel')
  + addon('coredns', '30-coredns', import 'coredns.libsonnet')
  + addon('nodeLocalDNS', '31-node-local-dns', import 'node-local-dns.libsonnet')
  + addon('metricsServer', '40-metrics-server', import 'metrics-server.libsonnet')
  + addon('localPath', '41-local-path', import 'local-path.libsonnet')
  + addon('nodeProblemDetector', '42-node-problem-detector', import 'node-problem-detector.libsonnet')
  + addon('gpuDevicePlugin', '43-gpu-device-plugin', import 'gpu-device-plugin.libsonnet')
  + addon('traefik', '50-traefik', import 'traefik.libsonnet')
  + addon('ingressNginx', '51-ingress-nginx', import 'ingress-nginx.libsonnet')
  + addon('certManager', '60-cert-manager', import 'cert-manager.libsonnet')
  + addon('dashboard', '61-dashboard', import 'dashboard.libsonnet')
  + addon('jenkins', '65-jenkins', import 'jenkins.libsonnet')
  + addon(
    'etcdBackup',
    '70-etcd-backup',
    import 'etcd-backup.libsonnet',
    cluster.addons.etcdBackup.enabled && cluster.etcdBackup.by == 'cronjob'
  );
  {
    values:: { [name]: {} for name in std.objectFields(addons) },

    // The configuration of each addon, of those that are off too: what is said of them is checked all the same.
    configs:: {
      [name]: knobs.told(name, addons[name].spec, addons[name].defaults, $.values[name])
      for name in std.objectFields(addons)
    },
    // The set that each addon has, or would have.
    sets:: { [name]: addons[name].set for name in std.objectFields(addons) },
  }
  + {
    [addons[name].set]: addons[name].objects($.configs[name])
    for name in std.objectFields(addons)
    if addons[name].on
  }
