// A kind of an addon's own. Its schema is structural and lets fields be: what they may hold, the addon's programs judge.
local kube = import 'kubernetes.libsonnet';

local anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

{
  anything:: anything,
  // Properties of an object of any kind, beside which `spec` and `status` stand.
  object:: { apiVersion: { type: 'string' }, kind: { type: 'string' }, metadata: { type: 'object' } },
  // `names` and `served` are laid over its names and over its one version.
  definition(group, version, kind, plural, schema, scope='Namespaced', names={}, served={})::
    kube.object('apiextensions.k8s.io/v1', 'CustomResourceDefinition', '%s.%s' % [plural, group]) + {
      spec: {
        group: group,
        scope: scope,
        names: { kind: kind, listKind: kind + 'List', plural: plural, singular: std.asciiLower(kind) } + names,
        versions: [{
          name: version,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object' } + schema },
        } + served],
      },
    },
}
