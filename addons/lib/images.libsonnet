// Where images come from: the registry that their name says, or one of the cluster's own in its place.
//
// An addon's `registry` goes before `addons.registry`. The path behind the host stays as it is, so a mirror is filled
// by copying registry.k8s.io/coredns/coredns to <registry>/coredns/coredns.
function(cluster, config)
  local registry = if config.registry != null then config.registry else cluster.addons.registry;
  function(name)
    if registry == null then name
    else registry + name[std.findSubstr('/', name)[0]:]
