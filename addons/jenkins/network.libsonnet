// Who may reach whom: controller and agents each in a namespace in which all else is denied.
local kube = import '../lib/kubernetes.libsonnet';
local policies = import '../lib/network-policies.libsonnet';
local names = import 'names.libsonnet';

function(cluster, config)
  local toController = names.tcp([config.ports.http, config.ports.agent]);
  local agentsIn(namespace) = {
    ['fromAgents-' + namespace]: kube.networkPolicy('allow-to-controller', namespace, {
      podSelector: { matchLabels: names.agentPods },
      policyTypes: ['Egress'],
      egress: [{ to: [names.ours(names.controller, names.controllerPods)], ports: toController }],
    }),
  };
  local tools = names.toolsNamespace(config);
  local homes = std.set([names.agents, tools]);
  {
    denyAll: kube.denyAll(names.controller),
    allowDNS: kube.allowDNS(names.controller),
    allowApi: policies.toApi(cluster, names.controller),
    allowOut: kube.networkPolicy('allow-out', names.controller, {
      podSelector: { matchLabels: names.controllerPods },
      policyTypes: ['Egress'],
      egress: [{ ports: names.tcp(config.controllerPorts) }],
    }),
    allowAgents: kube.networkPolicy('allow-agents', names.controller, {
      podSelector: { matchLabels: names.controllerPods },
      policyTypes: ['Ingress'],
      ingress: [{ from: [names.ours(one, names.agentPods) for one in homes], ports: toController }],
    }),
    [if config.ingress != null then 'allowIngress']: kube.networkPolicy('allow-ingress-controller', names.controller, {
      podSelector: { matchLabels: names.controllerPods },
      policyTypes: ['Ingress'],
      ingress: [{
        from: [policies.inNamespace(cluster, config.ingress.namespace)],
        ports: names.tcp([config.ports.http]),
      }],
    }),

    agentsNamespace: kube.namespace(names.agents, 'restricted'),
    agentsDenyAll: kube.denyAll(names.agents),
    agentsDNS: kube.allowDNS(names.agents),
    agentsOut: kube.networkPolicy('allow-out', names.agents, {
      podSelector: { matchLabels: names.agentPods },
      policyTypes: ['Egress'],
      egress: [{ ports: names.tcp(config.agentPorts) }],
    }),
    // helm asks the API; the other agents have no token and no way there.
    toolsApi: policies.toApi(cluster, tools, { matchLabels: names.toolsPods }),
    [if tools == names.agents then 'toolsToBuilder']: kube.networkPolicy('allow-to-builder', names.agents, {
      podSelector: { matchLabels: names.toolsPods },
      policyTypes: ['Egress'],
      egress: [{ to: [names.ours(names.builds, names.builderPods)], ports: names.tcp([1234]) }],
    }),
    [if tools != names.agents then 'toolsOut']: kube.networkPolicy('allow-tools-out', tools, {
      podSelector: { matchLabels: names.toolsPods },
      policyTypes: ['Egress'],
      egress: [{ ports: names.tcp(config.agentPorts) }],
    }),
  } + std.foldl(function(all, one) all + agentsIn(one), homes, {})
