// What the parts of cert-manager may do. tests/addons/reasons/cert-manager.yaml says why, right by right.
// Left out of upstream's: OpenShift's routes, the Gateway API, Kubernetes' own certificate requests (both are off unless a
// feature gate is set), finalizers of owners (for an admission plugin that Slipway does not turn on), and writing what the
// controllers only read.
local kube = import '../lib/kubernetes.libsonnet';

local watched = ['get', 'list', 'watch'];
local rule(group, resources, verbs, names=null) = {
  apiGroups: [group],
  resources: resources,
  verbs: verbs,
  [if names != null then 'resourceNames']: names,
};
local general = 'cert-manager.io';
local acme = 'acme.cert-manager.io';
local events = rule('', ['events'], ['create', 'patch']);

function(namespace, release)
  // The right of a part over the whole cluster.
  local everywhere(key, name, account, rules) = {
    [key + 'Role']: kube.clusterRole(name, rules) + kube.labelled('cert-manager'),
    [key + 'Binding']: kube.clusterRoleBinding(name, name, [kube.account(account, namespace)]) + kube.labelled('cert-manager'),
  };
  // The right of a part within cert-manager's own namespace.
  local here(key, name, account, rules) = {
    [key + 'Role']: kube.role(name, namespace, rules) + kube.labelled('cert-manager'),
    [key + 'Binding']: kube.roleBinding(name, namespace, name, [kube.account(account, namespace)]) + kube.labelled('cert-manager'),
  };
  // A right to create cannot be tied to a name.
  local leads(key, account, leases) = here(key, account + ':leaderelection', account, [
    rule('coordination.k8s.io', ['leases'], ['get', 'update', 'patch'], leases),
    rule('coordination.k8s.io', ['leases'], ['create']),
    events,
  ]);

  leads('controllerLeads', 'cert-manager', ['cert-manager-controller'])
  // Below 1.12 the injector had two leaders.
  + leads(
    'cainjectorLeads',
    'cert-manager-cainjector',
    ['cert-manager-cainjector-leader-election'] + (if release < 12 then ['cert-manager-cainjector-leader-election-core'] else [])
  )
  + everywhere('issuers', 'cert-manager-controller-issuers', 'cert-manager', [
    rule(general, ['issuers', 'clusterissuers'], watched),
    rule(general, ['issuers/status', 'clusterissuers/status'], ['update', 'patch']),
    rule('', ['secrets'], watched + ['create']),
    events,
  ])
  + everywhere('certificates', 'cert-manager-controller-certificates', 'cert-manager', [
    rule(general, ['certificates'], watched),
    rule(general, ['certificates/status'], ['update', 'patch']),
    rule(general, ['certificaterequests'], watched + ['create', 'update', 'patch', 'delete']),
    rule(general, ['certificaterequests/status'], ['update', 'patch']),
    rule('', ['secrets'], ['update', 'patch', 'delete']),
  ])
  + everywhere('approver', 'cert-manager-controller-approve:cert-manager-io', 'cert-manager', [
    rule(general, ['signers'], ['approve'], ['issuers.cert-manager.io/*', 'clusterissuers.cert-manager.io/*']),
  ])
  + everywhere('orders', 'cert-manager-controller-orders', 'cert-manager', [
    rule(acme, ['orders'], watched + ['create', 'delete']),
    rule(acme, ['orders/status'], ['update', 'patch']),
  ])
  + everywhere('challenges', 'cert-manager-controller-challenges', 'cert-manager', [
    rule(acme, ['challenges'], watched + ['create', 'update', 'patch', 'delete']),
    rule(acme, ['challenges/status'], ['update', 'patch']),
    rule('', ['pods', 'services'], watched + ['create', 'delete']),
    rule('networking.k8s.io', ['ingresses'], watched + ['create', 'update', 'delete']),
  ])
  + everywhere('ingressShim', 'cert-manager-controller-ingress-shim', 'cert-manager', [
    rule(general, ['certificates'], ['create', 'update', 'delete']),
  ])
  + everywhere('cainjector', 'cert-manager-cainjector', 'cert-manager-cainjector', [
    rule(general, ['certificates'], watched),
    rule('', ['secrets'], watched),
    rule(
      'admissionregistration.k8s.io',
      ['validatingwebhookconfigurations', 'mutatingwebhookconfigurations'],
      watched + ['update', 'patch']
    ),
    rule('apiregistration.k8s.io', ['apiservices'], watched + ['update', 'patch']),
    rule('apiextensions.k8s.io', ['customresourcedefinitions'], watched + ['update', 'patch']),
  ])
  + here('webhookServing', 'cert-manager-webhook:dynamic-serving', 'cert-manager-webhook', [
    rule('', ['secrets'], watched + ['update'], ['cert-manager-webhook-ca']),
  ])
  + everywhere('webhookReviews', 'cert-manager-webhook:subjectaccessreviews', 'cert-manager-webhook', [
    rule('authorization.k8s.io', ['subjectaccessreviews'], ['create']),
  ])
  + {
    // Who may view or edit in a namespace may do so with certificates too. Orders and challenges are made by the
    // controllers alone: who may write them could draw the credentials of a ClusterIssuer out of its namespace
    // (https://github.com/cert-manager/cert-manager/security/advisories/GHSA-8rvj-mm4h-c258).
    viewRole: kube.clusterRole('cert-manager-view', [
      rule(general, ['certificates', 'certificaterequests', 'issuers'], watched),
      rule(acme, ['orders', 'challenges'], watched),
    ]) + kube.labelled('cert-manager') + {
      metadata+: { labels+: { ['rbac.authorization.k8s.io/aggregate-to-' + role]: 'true' for role in ['view', 'edit', 'admin'] } },
    },
    editRole: kube.clusterRole('cert-manager-edit', [
      rule(
        general,
        ['certificates', 'certificaterequests', 'issuers'],
        ['create', 'update', 'patch', 'delete', 'deletecollection']
      ),
      rule(general, ['certificates/status'], ['update']),
    ]) + kube.labelled('cert-manager') + {
      metadata+: { labels+: { ['rbac.authorization.k8s.io/aggregate-to-' + role]: 'true' for role in ['edit', 'admin'] } },
    },
  }
