// The kinds that Calico keeps its state in. The schemas are structural and let every field be: what a field may hold,
// Calico's own programs check.
local kinds = import '../lib/definition.libsonnet';
local kube = import '../lib/kubernetes.libsonnet';
local versions = import '../lib/versions.libsonnet';

local free = kinds.anything;

local definition(group, version, kind, plural, scope='Cluster', short=[], spec=free, status=false, approved=null) =
  kinds.definition(
    group,
    version,
    kind,
    plural,
    { properties: kinds.object { spec: spec, status: free } },
    scope,
    if short != [] then { shortNames: short } else {},
    if status then { subresources: { status: {} } } else {},
  )
  + kube.labelled('calico')
  + {
    metadata+: {
      // Groups below k8s.io are only taken with the change that approved them
      // (https://github.com/kubernetes/enhancements/pull/1111).
      [if approved != null then 'annotations']: { 'api-approved.kubernetes.io': approved },
    },
  };

local calico(kind, plural, scope='Cluster', spec=free, status=false) =
  definition('crd.projectcalico.org', 'v1', kind, plural, scope, spec=spec, status=status);

local policy(version, kind, plural, short, pull) =
  definition(
    'policy.networking.k8s.io',
    version,
    kind,
    plural,
    short=[short],
    status=true,
    approved='https://github.com/kubernetes-sigs/network-policy-api/pull/%d' % pull
  );

// calicoctl refuses to change these two of a pool in use; the API does the same where it evaluates rules of schemas.
local fixed(minor) = free {
  properties: { cidr: { type: 'string' }, blockSize: { type: 'integer' } },
  [if versions.atLeast(minor, 25) then 'x-kubernetes-validations']: [{
    rule: '(!has(oldSelf.cidr) || self.cidr == oldSelf.cidr) && (!has(oldSelf.blockSize) || self.blockSize == oldSelf.blockSize)',
    message: 'cidr and blockSize of a pool never change; docs/addons/calico.md says how pods move to a new pool',
  }],
};

function(minor, features) {
  bgpConfigurations: calico('BGPConfiguration', 'bgpconfigurations'),
  [if features.bgpFilters then 'bgpFilters']: calico('BGPFilter', 'bgpfilters'),
  bgpPeers: calico('BGPPeer', 'bgppeers'),
  blockAffinities: calico('BlockAffinity', 'blockaffinities'),
  nodeStatuses: calico('CalicoNodeStatus', 'caliconodestatuses'),
  clusterInformations: calico('ClusterInformation', 'clusterinformations'),
  felixConfigurations: calico('FelixConfiguration', 'felixconfigurations'),
  globalNetworkPolicies: calico('GlobalNetworkPolicy', 'globalnetworkpolicies'),
  globalNetworkSets: calico('GlobalNetworkSet', 'globalnetworksets'),
  hostEndpoints: calico('HostEndpoint', 'hostendpoints'),
  ipamBlocks: calico('IPAMBlock', 'ipamblocks'),
  ipamConfigs: calico('IPAMConfig', 'ipamconfigs'),
  ipamHandles: calico('IPAMHandle', 'ipamhandles'),
  ipPools: calico('IPPool', 'ippools', spec=fixed(minor)),
  ipReservations: calico('IPReservation', 'ipreservations'),
  kubeControllersConfigurations:
    calico('KubeControllersConfiguration', 'kubecontrollersconfigurations', status=features.controllersStatus),
  networkPolicies: calico('NetworkPolicy', 'networkpolicies', 'Namespaced'),
  networkSets: calico('NetworkSet', 'networksets', 'Namespaced'),
  [if features.tiers then 'tiers']: calico('Tier', 'tiers'),
  [if features.staged then 'stagedGlobalNetworkPolicies']:
    calico('StagedGlobalNetworkPolicy', 'stagedglobalnetworkpolicies'),
  [if features.staged then 'stagedKubernetesNetworkPolicies']:
    calico('StagedKubernetesNetworkPolicy', 'stagedkubernetesnetworkpolicies', 'Namespaced'),
  [if features.staged then 'stagedNetworkPolicies']:
    calico('StagedNetworkPolicy', 'stagednetworkpolicies', 'Namespaced'),
  [if features.adminPolicies then 'adminNetworkPolicies']:
    policy('v1alpha1', 'AdminNetworkPolicy', 'adminnetworkpolicies', 'anp', 30),
  [if features.baselinePolicies then 'baselineAdminNetworkPolicies']:
    policy('v1alpha1', 'BaselineAdminNetworkPolicy', 'baselineadminnetworkpolicies', 'banp', 30),
  [if features.clusterPolicies then 'clusterNetworkPolicies']:
    policy('v1alpha2', 'ClusterNetworkPolicy', 'clusternetworkpolicies', 'cnp', 300),
}
