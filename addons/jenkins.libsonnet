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
local trustOf = import 'jenkins/trust.libsonnet';
local claim = import 'lib/claim.libsonnet';
local images = import 'lib/images.libsonnet';
local knobs = import 'lib/knobs.libsonnet';

local defaults = {
  image: 'docker.io/jenkins/jenkins:2.568.3-jdk21',
  agentImage: 'docker.io/jenkins/inbound-agent:3391.va_37fa_a_305d6d-3-jdk21',
  buildkitImage: 'docker.io/moby/buildkit:v0.24.0-rootless',
  // Official images of the languages, with glibc: the images that Dockerfiles build with, but for php, whose image with
  // Composer is made for musl. The agent takes Composer itself, one file for PHP, out of that one.
  composerImage: 'docker.io/library/composer:2.8.11',
  agentImages: {
    go: 'docker.io/library/golang:1.26.4-bookworm',
    java: 'docker.io/library/maven:3.9.11-eclipse-temurin-21',
    nodejs: 'docker.io/library/node:22.22.2-bookworm-slim',
    php: 'docker.io/library/php:8.4.12-cli',
    python: 'docker.io/library/python:3.12.12-slim',
  },
  // One set that the Jenkins project tests together, its bill of materials for 2.568.x
  // (https://github.com/jenkinsci/bom, bom-2.568.x), and workflow-aggregator, which the chart of the same controller
  // names. What these need beside comes in the least version that they name (`--latest false`); so all that reads what
  // others write, and all that another version could split, stands here.
  plugins: {
    'bouncycastle-api': '2.30.1.84-291.v9f17b_21896e2',
    'branch-api': '2.1280.v0d4e5b_b_460ef',
    'cloudbees-folder': '6.1106.v3a_d9a_6d2465e',
    'configuration-as-code': '2114.v67a_a_18696b_8f',
    credentials: '1506.v948b_b_b_7dec44',
    'credentials-binding': '728.v902a_273b_8947',
    'durable-task': '686.v80ff80875b_82',
    git: '5.10.1',
    'git-client': '6.6.1',
    'instance-identity': '203.v15e81a_1b_7a_38',
    'jackson2-api': '2.22.1-443.vc91f592333c4',
    'job-dsl': '1.93',
    kubernetes: '4540.v612369217f87',
    'kubernetes-client-api': '7.3.1-256.v788a_0b_787114',
    'kubernetes-credentials': '207.v492f58828b_ed',
    // One release of a project at a time to an environment.
    'lockable-resources': '1539.v4db_b_fc1cc115',
    'mina-sshd-api-common': '2.19.0-192.v2b_a_7b_2c1dc71',
    'mina-sshd-api-core': '2.19.0-192.v2b_a_7b_2c1dc71',
    'pipeline-build-step': '599.v4b_67ea_11b_152',
    'pipeline-groovy-lib': '798.v5cc688825312',
    'pipeline-input-step': '560.v56198a_642157',
    'pipeline-milestone-step': '152.v6e22b_8cfc66c',
    'pipeline-model-api': '2.2291.v2934911987b_6',
    'pipeline-model-definition': '2.2291.v2934911987b_6',
    'pipeline-model-extensions': '2.2291.v2934911987b_6',
    'pipeline-rest-api': '2.41',
    'pipeline-stage-step': '345.va_96187909426',
    'pipeline-stage-tags-metadata': '2.2291.v2934911987b_6',
    // Stages of a run beside each other.
    'pipeline-stage-view': '2.41',
    'plain-credentials': '199.v9f8e1f741799',
    'scm-api': '728.vc30dcf7a_0df5',
    'script-security': '1402.1405.vc96e74964250',
    'snakeyaml-api': '2.5-149.v72471e9c6371',
    'ssh-credentials': '372.va_250881b_08cd',
    structs: '362.va_b_695ef4fdf9',
    'workflow-aggregator': '608.v67378e9d3db_1',
    'workflow-api': '1413.v2ff1a_5e720fa_',
    'workflow-basic-steps': '1098.v808b_fd7f8cf4',
    'workflow-cps': '4360.v2020e8819a_d6',
    'workflow-durable-task-step': '1479.v56e587f413a_7',
    'workflow-job': '1571.1580.v18e46842c125',
    'workflow-multibranch': '841.vec5b_9e1806ec',
    'workflow-scm-step': '466.va_d69e602552b_',
    'workflow-step-api': '724.v538c2362b_dfb_',
    'workflow-support': '1015.v785e5a_b_b_8b_22',
  },
  resources: { requests: { cpu: '2', memory: '4Gi' }, limits: { cpu: '2', memory: '4Gi' } },
  agentResources: { requests: { cpu: '500m', memory: '1Gi' }, limits: { cpu: '2', memory: '4Gi' } },
  toolsResources: { requests: { cpu: '250m', memory: '512Mi' }, limits: { cpu: '2', memory: '2Gi' } },
  buildResources: { requests: { cpu: '500m', memory: '1Gi' }, limits: { cpu: '4', memory: '8Gi' } },
  pluginResources: { requests: { cpu: '100m', memory: '512Mi' }, limits: { memory: '1Gi' } },
  workspaceSize: knobs.oneOf('20Gi', ['quantity of bytes']),
  layersSize: knobs.oneOf('50Gi', ['quantity of bytes']),
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
  local trust = trustOf(cluster);
  local agents = agentsOf(cluster, config, image, sources, trust);
  local casc = cascOf(cluster, config, credentials, agents);

  controllerOf(cluster, config, image, credentials, casc, agents, trust)
  + agents
  + buildsOf(cluster, config, image, trust)
  + environmentsOf(cluster, config)
  + networkOf(cluster, config)
  + {
    credentials: credentials.secret,
    sources: sources.configMap(names.agents),
    [if names.toolsNamespace(config) != names.agents then 'buildSources']: sources.configMap(names.builds),
  }
  + (if !trust.wanted then {} else {
       ['ca-' + namespace]: trust.configMap(namespace)
       for namespace in [names.controller, names.agents, names.builds]
     })
  + (if config.caches == null then {}
     else local caches = claim(cluster, 'caches', names.agents, config.caches).objects; {
       ['caches-' + key]: caches[key]
       for key in std.objectFields(caches)
     });

{ defaults(cluster): defaults, objects: objects }
