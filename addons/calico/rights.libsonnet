// What each of Calico's programs may do in the API. tests/addons/reasons/calico.yaml says why, rule by rule.
local kube = import '../lib/kubernetes.libsonnet';

local own = 'crd.projectcalico.org';
local rule(group, resources, verbs, names=null) = {
  apiGroups: [group],
  resources: resources,
  verbs: verbs,
  [if names != null then 'resourceNames']: names,
};
local read = ['get', 'list', 'watch'];
local when(condition, rules) = if condition then rules else [];

function(config, features, namespace) {
  // What the agent follows, and Typha in its place.
  local following = [
    rule('', ['endpoints', 'namespaces', 'nodes', 'pods', 'services'], read),
    rule('', ['serviceaccounts'], ['list', 'watch']),
    rule('discovery.k8s.io', ['endpointslices'], ['list', 'watch']),
    rule('networking.k8s.io', ['networkpolicies'], ['list', 'watch']),
    rule(own, [
      'bgpconfigurations',
      'bgppeers',
      'blockaffinities',
      'caliconodestatuses',
      'clusterinformations',
      'felixconfigurations',
      'globalnetworkpolicies',
      'globalnetworksets',
      'hostendpoints',
      'ipamblocks',
      'ippools',
      'ipreservations',
      'networkpolicies',
      'networksets',
    ], read),
  ] + when(features.bgpFilters, [
    rule(own, ['bgpfilters'], read),
  ]) + when(features.tiers, [
    rule(own, ['tiers'], ['create'] + read),
  ]) + when(features.staged, [
    rule(
      own,
      ['stagedglobalnetworkpolicies', 'stagedkubernetesnetworkpolicies', 'stagednetworkpolicies'],
      read
    ),
  ]) + when(features.adminPolicies, [
    rule('policy.networking.k8s.io', ['adminnetworkpolicies'], ['list', 'watch']),
  ]) + when(features.baselinePolicies, [
    rule('policy.networking.k8s.io', ['baselineadminnetworkpolicies'], ['list', 'watch']),
  ]) + when(features.clusterPolicies, [
    rule('policy.networking.k8s.io', ['clusternetworkpolicies'], ['list', 'watch']),
  ]) + when(features.migrations, [
    rule('kubevirt.io', ['virtualmachineinstancemigrations'], read),
  ]),
  local addresses = [
    rule(own, ['blockaffinities', 'ipamblocks', 'ipamhandles'], ['create', 'delete', 'get', 'list', 'update']),
    rule(own, ['ipamconfigs'], ['get']),
  ] + when(features.ipamConfigs, [
    rule(own, ['ipamconfigs'], ['create']),
  ]),
  local plugin = if features.pluginAccount then 'calico-cni-plugin' else 'calico-node',
  local account(name) = [kube.account(name, namespace)],
  local labelled(object, component) = object + kube.labelled('calico', component),
  local clusterWide(name, component, rules) = {
    account: labelled(kube.serviceAccount(name, namespace), component),
    role: labelled(kube.clusterRole(name, rules), component),
    binding: labelled(kube.clusterRoleBinding(name, name, account(name)), component),
  },

  node:
    clusterWide('calico-node', 'node', following + addresses + [
      rule('', ['serviceaccounts/token'], ['create'], [plugin]),
      rule('', ['nodes/status'], ['patch', 'update']),
      rule(own, ['clusterinformations', 'felixconfigurations'], ['create', 'update']),
      rule(own, ['caliconodestatuses'], ['update']),
    ] + when(features.bgpDefaults, [
      rule(own, ['bgpconfigurations'], ['create', 'update']),
    ]) + when(!features.pluginAccount, [
      rule('', ['pods/status'], ['patch']),
    ])) + {
      // It stops where it is forbidden to look whether the cluster is one of kubeadm or Rancher.
      foreignConfig: labelled(kube.role('calico-node', namespace, [
        rule('', ['configmaps'], ['get'], ['kubeadm-config', 'full-cluster-state']),
      ]), 'node'),
      foreignConfigBinding:
        labelled(kube.roleBinding('calico-node', namespace, 'calico-node', account('calico-node')), 'node'),
    },

  plugin: if !features.pluginAccount then {} else clusterWide('calico-cni-plugin', 'cni', [
    rule('', ['namespaces', 'nodes', 'pods'], ['get']),
    rule('', ['pods/status'], ['patch']),
    rule(own, ['clusterinformations', 'ippools', 'ipreservations'], ['get', 'list']),
  ] + addresses),

  controllers: clusterWide('calico-kube-controllers', 'kube-controllers', [
    rule('', ['nodes', 'pods'], read),
    rule(own, ['ipreservations'], ['list']),
    rule(
      own,
      ['blockaffinities', 'ipamblocks', 'ipamhandles'],
      ['create', 'delete', 'get', 'list', 'update', 'watch']
    ),
    rule(own, ['ippools'], ['list', 'watch']),
    rule(own, ['hostendpoints'], ['create', 'delete', 'get', 'list', 'update', 'watch']),
    rule(own, ['clusterinformations'], ['create', 'get', 'list', 'update', 'watch']),
    rule(own, ['kubecontrollersconfigurations'], ['create', 'get', 'list', 'update', 'watch']),
  ] + when(features.tiers, [
    rule(own, ['tiers'], ['create', 'get', 'list', 'watch']),
  ]) + when(features.staged, [
    rule('', ['namespaces', 'services'], read),
    rule(own, ['ipamconfigs'], ['create', 'get', 'list', 'watch']),
  ]) + when(features.controllersStatus, [
    rule(own, ['kubecontrollersconfigurations/status'], ['get', 'update']),
  ]) + when(features.policyNames, [
    rule(
      own,
      ['globalnetworkpolicies', 'networkpolicies', 'stagedglobalnetworkpolicies', 'stagednetworkpolicies'],
      ['create', 'delete', 'get', 'list', 'update', 'watch']
    ),
    rule('apps', ['daemonsets'], ['get'], ['calico-node']),
  ])),

  typha: clusterWide('calico-typha', 'typha', following + [
    rule(own, ['clusterinformations'], ['create', 'update']),
  ]),
}
