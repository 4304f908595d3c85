// The kinds of cert-manager. What stands in them is judged by its webhook; the schemas say what kubectl and apply need.
local kinds = import '../lib/definition.libsonnet';
local kube = import '../lib/kubernetes.libsonnet';

local anything = kinds.anything;

// Conditions are a map by type, so that controllers that apply one condition leave the others alone.
local status = anything {
  properties: {
    conditions: {
      type: 'array',
      items: anything { required: ['type'], properties: { type: { type: 'string' } } },
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
    },
  },
};

local column(name, path, wide=false) = {
  name: name,
  type: 'string',
  jsonPath: path,
  [if wide then 'priority']: 1,
};
local age = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };
local condition(name, field='status') = '.status.conditions[?(@.type == "%s")].%s' % [name, field];

local ready = column('Ready', condition('Ready'));
local message = column('Status', condition('Ready', 'message'), wide=true);
local issuer(wide=false) = column('Issuer', '.spec.issuerRef.name', wide);

local definition(group, kind, plural, short, columns, scope='Namespaced') =
  kinds.definition(
    group,
    'v1',
    kind,
    plural,
    { required: ['spec'], properties: kinds.object { spec: anything, status: status } },
    scope,
    {
      categories: ['cert-manager'] + (if std.startsWith(group, 'acme.') then ['cert-manager-acme'] else []),
      [if short != [] then 'shortNames']: short,
    },
    { subresources: { status: {} }, additionalPrinterColumns: columns + [age] },
  ) + kube.labelled('cert-manager', 'crds') + { spec+: { conversion: { strategy: 'None' } } };

local general = 'cert-manager.io';
local acme = 'acme.cert-manager.io';

{
  crdCertificates: definition(general, 'Certificate', 'certificates', ['cert', 'certs'], [
    ready,
    column('Secret', '.spec.secretName'),
    issuer(wide=true),
    message,
  ]),
  crdCertificateRequests: definition(general, 'CertificateRequest', 'certificaterequests', ['cr', 'crs'], [
    column('Approved', condition('Approved')),
    column('Denied', condition('Denied')),
    ready,
    issuer(),
    column('Requester', '.spec.username'),
    message,
  ]),
  crdIssuers: definition(general, 'Issuer', 'issuers', ['iss'], [ready, message]),
  crdClusterIssuers: definition(general, 'ClusterIssuer', 'clusterissuers', ['ciss'], [ready, message], 'Cluster'),
  crdOrders: definition(acme, 'Order', 'orders', [], [
    column('State', '.status.state'),
    issuer(wide=true),
    column('Reason', '.status.reason', wide=true),
  ]),
  crdChallenges: definition(acme, 'Challenge', 'challenges', [], [
    column('State', '.status.state'),
    column('Domain', '.spec.dnsName'),
    column('Reason', '.status.reason', wide=true),
  ]),
}
