// Where images come from: the registry that their name says, or one of the cluster's own in its place.
//
// An addon's `registry` goes before `addons.registry`. The path behind the host stays as it is, so a mirror is filled
// by copying registry.k8s.io/coredns/coredns to <registry>/coredns/coredns. A name without a host is refused: each
// runtime reads it as another registry's (https://github.com/distribution/reference/blob/main/normalize.go says whose).
function(cluster, config)
  local registry = if config.registry != null then config.registry else cluster.addons.registry;
  function(name)
    local slashes = std.findSubstr('/', name);
    local host = if slashes == [] then '' else name[:slashes[0]];
    if !(host == 'localhost' || std.length(std.findSubstr('.', host) + std.findSubstr(':', host)) > 0) then
      error "addons: the image '%s' names no registry; write it with the registry's host, like docker.io/%s%s"
            % [name, if slashes == [] then 'library/' else '', name]
    else if registry == null then name
    else registry + name[slashes[0]:]
