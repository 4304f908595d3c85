// Ways out of a namespace in which everything is denied.
local kube = import 'kubernetes.libsonnet';

// One address as a peer of a policy.
local host(address) = { ipBlock: { cidr: address + (if std.member(address, ':') then '/128' else '/32') } };

// The API servers themselves, since a policy sees where a packet goes after the Service's address is replaced
// (https://kubernetes.io/docs/concepts/services-networking/network-policies/#behavior-of-ipblock-selectors).
local apiServers(cluster) = [
  { to: [host(server.address)], ports: [{ port: server.port, protocol: 'TCP' }] }
  for server in cluster.apiServers
];

{
  host:: host,
  // Egress rules towards the API.
  apiServers:: apiServers,
  toApi(cluster, namespace, podSelector={}):: kube.networkPolicy('allow-api', namespace, {
    podSelector: podSelector,
    policyTypes: ['Egress'],
    egress: apiServers(cluster),
  }),
}
