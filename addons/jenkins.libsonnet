// Jenkins: a controller, an agent for each language, rootless image builds, and the namespaces that releases go to.
// docs/ci/jenkins.md says what each part may do and compares it with the system that it stands for.
local agentsOf = import 'jenkins/agents.libsonnet';
local buildsOf = import 'jenkins/builds.libsonnet';
local cascOf = import 'jenkins/casc.libsonnet';
local controllerOf = import 'jenkins/controller.libsonnet';
local credentialsOf = import 'jenkins/credentials.libsonnet';
local environmentsOf = import 'jenkins/environments.libsonnet';
local names = import 'jenkins/names.libsonnet';
local networkOf = import 'jenkins/network.libsonnet';
local sourcesOf = import 'jenkins/sources.libsonnet';
local claim = import 'lib/claim.libsonnet';
local images = import 'lib/images.libsonnet';
local knobs = import 'lib/knobs.libsonnet';

local defaults = {
  image: 'docker.io/jenkins/jenkins:2.528.3-jdk21',
  agentImage: 'docker.io/jenkins/inbound-agent:3355.v388858a_47b_33-3',
  buildkitImage: 'docker.io/moby/buildkit:v0.24.0-rootless',
  // Official images of the languages, with glibc: the images that Dockerfiles build with, but for php, whose image with
  // Composer is made for musl.
  agentImages: {
    go: 'docker.io/library/golang:1.26.4-bookworm',
    java: 'docker.io/library/maven:3.9.11-eclipse-temurin-21',
    nodejs: 'docker.io/library/node:22.22.2-bookworm-slim',
    php: 'docker.io/library/php:8.4.12-cli',
    python: 'docker.io/library/python:3.12.12-slim',
  },
  // What others of these need comes in the version that they name, with `--latest false`: so the list says all versions.
  // These were released together with the controller above (https://github.com/jenkinsci/helm-charts, chart 5.8).
  plugins: {
    'configuration-as-code': '2006.v001a_2ca_6b_574',
    git: '5.8.1',
    'job-dsl': '1.93',
    kubernetes: '4398.vb_b_33d9e7fe23',
    // Stages of a run beside each other.
    'pipeline-stage-view': '2.38',
    'workflow-aggregator': '608.v67378e9d3db_1',
  },
  resources: { requests: { cpu: '2', memory: '4Gi' }, limits: { cpu: '2', memory: '4Gi' } },
  agentResources: { requests: { cpu: '500m', memory: '1Gi' }, limits: { cpu: '2', memory: '4Gi' } },
  toolsResources: { requests: { cpu: '250m', memory: '512Mi' }, limits: { cpu: '2', memory: '2Gi' } },
  buildResources: { requests: { cpu: '500m', memory: '1Gi' }, limits: { cpu: '4', memory: '8Gi' } },
  pluginResources: { requests: { cpu: '100m', memory: '512Mi' }, limits: { memory: '1Gi' } },
  workspaceSize: '20Gi',
  layersSize: '50Gi',
  // How many agents there are at the same time, and runs on each that runs all the time.
  agentsAtOnce: 10,
  executors: 2,
  libraryPath: 'addons/jenkins/library/',
  // A whole settings.xml in place of ours.
  mavenSettings: knobs.oneOf(null, ['null', 'string'], '<settings>…</settings>'),
  // Laid over the controller's configuration, as JCasC writes it (RFC 7386).
  configurationPatch: {},
  // Ports to which pods may go out: the controller to git and the update centre, agents also to registries, mail and
  // virtual machines, builds to registries and package sources.
  controllerPorts: [22, 443],
  agentPorts: [22, 25, 80, 443, 465, 587, 5000],
  buildPorts: [80, 443, 5000],
  // What else helm may do in the environments' namespaces, for charts of one's own: rules of a Role.
  deployerRules: knobs.oneOf([], ['list of maps'], [{ apiGroups: ['batch'], resources: ['cronjobs'], verbs: ['get'] }]),
  // Egress rules of the environments' namespaces.
  environmentEgress: [{}],
  ingressAnnotations: knobs.labels(),
};

local objects(cluster, given) =
  local config = given + {
    cachesClaim:: if self.caches == null then null else claim(cluster, 'caches', names.agents, self.caches).name,
  };
  local image = images(cluster, config);
  local sources = sourcesOf(config);
  local credentials = credentialsOf(cluster, config);
  local agents = agentsOf(cluster, config, image, sources);
  local casc = cascOf(cluster, config, credentials, agents);

  controllerOf(cluster, config, image, credentials, casc, agents)
  + agents
  + buildsOf(cluster, config, image)
  + environmentsOf(cluster, config)
  + networkOf(cluster, config)
  + {
    credentials: credentials.secret,
    sources: sources.configMap(names.agents),
    [if names.toolsNamespace(config) != names.agents then 'buildSources']: sources.configMap(names.builds),
  }
  + (if config.caches == null then {}
     else local caches = claim(cluster, 'caches', names.agents, config.caches).objects; {
       ['caches-' + key]: caches[key]
       for key in std.objectFields(caches)
     });

{ defaults(cluster): defaults, objects: objects }
