// Ways out of a namespace in which everything is denied.
local kube = import 'kubernetes.libsonnet';

{
  // The API servers themselves, since a policy sees where a packet goes after the Service's address is replaced
  // (https://kubernetes.io/docs/concepts/services-networking/network-policies/#behavior-of-ipblock-selectors).
  toApi(cluster, namespace, podSelector={}):: kube.networkPolicy('allow-api', namespace, {
    podSelector: podSelector,
    policyTypes: ['Egress'],
    egress: [
      {
        to: [{ ipBlock: { cidr: server.address + (if std.length(std.findSubstr(':', server.address)) > 0 then '/128' else '/32') } }],
        ports: [{ port: server.port, protocol: 'TCP' }],
      }
      for server in cluster.apiServers
    ],
  }),
}
