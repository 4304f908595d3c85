// The namespaces of the delivery chain and what is said of them in several places.
local kube = import '../lib/kubernetes.libsonnet';

{
  controller:: 'jenkins',
  agents:: 'jenkins-agents',
  builds:: 'jenkins-build',
  languages:: ['go', 'java', 'nodejs', 'php', 'python'],
  tools:: 'slipway',
  // Where agents may write; the images' own homes are read-only.
  home:: '/home/jenkins',
  // Where the agent slipway runs: buildah makes images in its own pod, and what it needs for that is let there alone.
  toolsNamespace(config):: if config.builder == 'buildah' then $.builds else $.agents,
  // Who else's pods may be named in a policy: a namespace of ours by the label that it has from us, since Kubernetes
  // 1.20 does not label namespaces with their names.
  ours(namespace, selector):: {
    namespaceSelector: { matchLabels: { 'app.kubernetes.io/name': namespace } },
    podSelector: { matchLabels: selector },
  },
  controllerPods:: kube.selector('jenkins', 'controller'),
  agentPods:: kube.selector('jenkins', 'agent'),
  toolsPods:: kube.selector('jenkins', 'agent') + { 'slipway.io/agent': $.tools },
  builderPods:: kube.selector('jenkins', 'builder'),
  tcp(ports):: [{ port: port, protocol: 'TCP' } for port in ports],
  // The ports that addresses say, URLs or registries; an address that is null or says none has none here.
  portsIn(addresses)::
    local said(address) =
      local parts = std.split(address, '://');
      local place = std.split(std.split(parts[std.length(parts) - 1], '/')[0], '@');
      // What stands behind the last colon and in no brackets, which are those of IPv6.
      local colons = std.split(place[std.length(place) - 1], ':');
      local last = colons[std.length(colons) - 1];
      if std.length(colons) > 1 && std.length(std.findSubstr(']', last)) == 0 then [std.parseInt(last)] else [];
    std.flattenArrays([said(address) for address in addresses if address != null]),
  sealed(id):: 'addons/jenkins-' + id,
}
