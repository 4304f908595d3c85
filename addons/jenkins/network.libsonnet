// Who may reach whom: controller and agents each in a namespace in which all else is denied.
local kube = import '../lib/kubernetes.libsonnet';
local policies = import '../lib/network-policies.libsonnet';
local names = import 'names.libsonnet';

function(cluster, config)
  local repositories = [config.library.url, config.configuration.url];
  local databases = [config.scanner.database, config.scanner.javaDatabase];
  local packages = [config.sources[name] for name in std.objectFields(config.sources)];
  // Ports that the spec names are open without being said a second time.
  local toController = names.tcp([config.ports.http, config.ports.agent]);
  local fromAgents = std.set(
    config.agentPorts
    + (if config.mail.host == null then [] else [config.mail.port])
    + cluster.projects.gitPorts
    + names.portsIn(repositories + packages + databases + [config.push.registry])
  );
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
      egress: [{ ports: names.tcp(std.set(config.controllerPorts + names.portsIn(repositories + [config.updateCenter]))) }],
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
      egress: [{ ports: names.tcp(fromAgents) }],
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
      egress: [{ ports: names.tcp(fromAgents) }],
    }),
  } + std.foldl(function(all, one) all + agentsIn(one), homes, {})
