// The namespaces that releases go to, and what helm may do there: what the chart addons/charts/app is made of, and the
// records of its releases.
local kube = import '../lib/kubernetes.libsonnet';
local names = import 'names.libsonnet';

local change = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'];
local rule(group, resources, verbs=change) = { apiGroups: [group], resources: resources, verbs: verbs };

local rules = [
  // helm keeps each release as a Secret whose name it makes itself
  // (https://helm.sh/docs/topics/advanced/#storage-backends), so names cannot be said.
  rule('', ['secrets'], ['get', 'list', 'watch', 'create', 'update', 'delete']),
  rule('', ['configmaps', 'serviceaccounts', 'services']),
  rule('apps', ['deployments']),
  rule('autoscaling', ['horizontalpodautoscalers']),
  rule('networking.k8s.io', ['ingresses', 'networkpolicies']),
  rule('policy', ['poddisruptionbudgets']),
  // --wait and the way back look whether what was released gets ready.
  rule('apps', ['replicasets'], ['get', 'list', 'watch']),
  rule('', ['pods'], ['get', 'list', 'watch']),
];

function(cluster, config)
  local own = [config.environments[name].namespace for name in std.objectFields(config.environments)];
  local everywhere = std.set(own + cluster.projects.namespaces);
  local deployer = kube.account('deployer', names.toolsNamespace(config));
  local pull = config.push.pullSecret;
  std.foldl(function(all, one) all + one, [
    {
      ['namespace-' + one]: kube.namespace(one, 'restricted'),
      ['denyAll-' + one]: kube.denyAll(one),
      ['allowDNS-' + one]: kube.allowDNS(one),
      // The chart's own policy says who comes in. What programs call is theirs to say: all of it unless said here.
      ['allowOut-' + one]: kube.networkPolicy('allow-out', one, {
        podSelector: {},
        policyTypes: ['Egress'],
        egress: config.environmentEgress,
      }),
      ['role-' + one]: kube.role('deployer', one, rules + config.deployerRules) + kube.labelled('jenkins', 'agent'),
      ['binding-' + one]: kube.roleBinding('deployer', one, 'deployer', [deployer]) + kube.labelled('jenkins', 'agent'),
    } + (if pull == null then {} else {
           ['pull-' + one]: kube.object('v1', 'Secret', pull, one) + kube.labelled('jenkins', 'agent') + {
             type: 'kubernetes.io/dockerconfigjson',
             data: { '.dockerconfigjson': { secret: names.sealed(pull) } },
           },
         })
    for one in everywhere
  ], {})
