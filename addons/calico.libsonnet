// Calico with the Kubernetes API as its store (https://docs.tigera.io/calico/latest/). docs/addons/calico.md compares
// it with upstream's manifest line by line.
local definitions = import 'calico/definitions.libsonnet';
local agent = import 'calico/agent.libsonnet';
local controllers = import 'calico/controllers.libsonnet';
local network = import 'calico/network.libsonnet';
local releases = import 'calico/releases.libsonnet';
local rights = import 'calico/rights.libsonnet';
local typha = import 'calico/typha.libsonnet';
local images = import 'lib/images.libsonnet';
local knobs = import 'lib/knobs.libsonnet';

local namespace = 'kube-system';

// What clusters/<c>/addons.jsonnet can turn beside the fields of cluster.yaml. An image of null is that of `version`.
local defaults(minor) = {
  version: releases.version(minor),
  images: {
    [part]: knobs.oneOf(null, ['null', 'string'], 'registry.example.net/calico:v3.32.4')
    for part in ['node', 'cni', 'kubeControllers', 'typha']
  },
  // How many agents may be down at once while they roll: a number, or a share like '10%'.
  maxUnavailable: knobs.percentage(1),
  nodeResources: { requests: { cpu: '250m', memory: '192Mi' }, limits: { memory: '768Mi' } },
  installerResources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { memory: '128Mi' } },
  controllersResources: { requests: { cpu: '20m', memory: '64Mi' }, limits: { memory: '384Mi' } },
  typhaResources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '1Gi' } },
};

local objects(cluster, known) =
  local features = releases.features(known.version);
  local config = known {
    images: {
      [part]:
        if known.images[part] != null then known.images[part]
        else '%s/calico/%s:%s' % [features.registry, name, known.version]
      for part in std.objectFields(known.images)
      for name in [if part == 'kubeControllers' then 'kube-controllers' else part]
    },
  };
  local image = images(cluster, config);
  local relay = if typha.wanted(cluster, config) then typha.present(cluster, config, namespace, image) else typha.absent;
  local may = rights(config, features, namespace);
  local named(prefix, members) = { [prefix + key]: members[key] for key in std.objectFields(members) };

  named('definition-', definitions(cluster.minor, features))
  + named('node-', may.node)
  + named('plugin-', may.plugin)
  + named('controllers-', may.controllers)
  + (if relay.objects == {} then {} else named('typha-', may.typha))
  + network(cluster, config, features)
  + agent(cluster, config, features, namespace, image, relay)
  + controllers(cluster, config, namespace, image)
  + relay.objects;

{ defaults(cluster): defaults(cluster.minor), objects: objects }
