// Ways out of a namespace in which everything is denied.
local kube = import 'kubernetes.libsonnet';
local versions = import 'versions.libsonnet';

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
  // Pods of a namespace as a peer. Below 1.21 none has a label with its name
  // (https://kubernetes.io/docs/concepts/services-networking/network-policies/#targeting-a-namespace-by-its-name), so it
  // is the one that namespaces of ours have; on any other it must be set.
  inNamespace(cluster, name):: {
    local label = if versions.atLeast(cluster.minor, 21) then 'kubernetes.io/metadata.name' else 'app.kubernetes.io/name',
    namespaceSelector: { matchLabels: { [label]: name } },
  },
  // Egress rules towards the API.
  apiServers:: apiServers,
  toApi(cluster, namespace, podSelector={}):: kube.networkPolicy('allow-api', namespace, {
    podSelector: podSelector,
    policyTypes: ['Egress'],
    egress: apiServers(cluster),
  }),
}
