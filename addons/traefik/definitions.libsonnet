// The kinds that Traefik reads beside Ingresses. Their fields are for Traefik to judge: it says in its log what it
// does not understand (https://doc.traefik.io/traefik/v3.7/reference/routing-configuration/kubernetes/crd/).
local kinds = import '../lib/definition.libsonnet';

local group = 'traefik.io';

local definition(kind, plural) = kinds.definition(group, 'v1alpha1', kind, plural, {
  required: ['spec'],
  properties: { spec: kinds.anything },
});

local own = {
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
  plurals:: std.sort(std.objectValues(own)),
  objects:: { ['definition' + kind]: definition(kind, own[kind]) for kind in std.objectFields(own) },
}
