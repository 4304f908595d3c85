// The kinds that Traefik reads beside Ingresses. Their fields are for Traefik to judge: it says in its log what it
// does not understand (https://doc.traefik.io/traefik/v3.7/reference/routing-configuration/kubernetes/crd/).
local group = 'traefik.io';

local definition(kind, plural) = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: '%s.%s' % [plural, group] },
  spec: {
    group: group,
    names: { kind: kind, listKind: kind + 'List', plural: plural, singular: std.asciiLower(kind) },
    scope: 'Namespaced',
    versions: [{
      name: 'v1alpha1',
      served: true,
      storage: true,
      schema: {
        openAPIV3Schema: {
          type: 'object',
          required: ['spec'],
          properties: { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      },
    }],
  },
};

local kinds = {
  IngressRoute: 'ingressroutes',
  IngressRouteTCP: 'ingressroutetcps',
  IngressRouteUDP: 'ingressrouteudps',
  Middleware: 'middlewares',
  MiddlewareTCP: 'middlewaretcps',
  ServersTransport: 'serverstransports',
  ServersTransportTCP: 'serverstransporttcps',
  TLSOption: 'tlsoptions',
  TLSStore: 'tlsstores',
  TraefikService: 'traefikservices',
};

{
  plurals:: std.sort(std.objectValues(kinds)),
  objects:: { ['definition' + kind]: definition(kind, kinds[kind]) for kind in std.objectFields(kinds) },
}
