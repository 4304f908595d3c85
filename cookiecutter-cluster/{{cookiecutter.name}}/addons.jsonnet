// API objects of your own, by set. A set is applied in the order of its name and pruned of what is no longer here.
// `cluster` holds facts of the cluster: name, domain, podCIDRs, dnsIPs, …
function(cluster) {
  // '50-teams': {
  //   jenkins: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'jenkins' } },
  // },
}
