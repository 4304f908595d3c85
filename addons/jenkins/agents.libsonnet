// Agents: for each language, and for the pipeline's own tools, the pod that it is, on demand or all the time.
//
// An agent is the language's official image with java and agent.jar from the image of Jenkins' inbound agent, which an
// init container copies: so the versions of both follow from one image each, and nobody builds images for agents. The
// image needs glibc and /bin/sh. Flags: https://github.com/jenkinsci/remoting/blob/master/docs/inbound-agent.md
local kube = import '../lib/kubernetes.libsonnet';
local pods = import '../lib/pods.libsonnet';
local versions = import '../lib/versions.libsonnet';
local yaml = import '../lib/yaml.libsonnet';
local names = import 'names.libsonnet';

local home = names.home;
// What an init container brings beside java, for the agent of PHP.
local programs = '/agent/bin';
// A folder that is the user's own, as buildah wants it; a volume belongs to root.
local runtime = home + '/run';

function(cluster, config, image, sources, trust)
  local controller = '%s.%s.svc.%s' % [names.controller, names.controller, cluster.domain];
  local address = {
    url: 'http://%s:%d' % [controller, config.ports.http],
    tunnel: '%s:%d' % [controller, config.ports.agent],
  };
  local tools(name) = name == names.tools;
  local php(name) = name == 'php';
  local builds(name) = tools(name) && config.builder == 'buildah';
  local namespace(name) = if tools(name) then names.toolsNamespace(config) else names.agents;
  local static(name) = config.staticAgents || builds(name);
  local every = std.sort(names.languages + [names.tools]);
  local labels(name) = kube.labels('jenkins', 'agent') + { 'slipway.io/agent': name };
  // A claim belongs to one namespace: that of the languages' agents.
  local caches(name) = config.caches != null && namespace(name) == names.agents;
  local resources(name) =
    if builds(name) then config.buildResources else if tools(name) then config.toolsResources else config.agentResources;

  // buildah maps users with newuidmap, which needs these two and has them as capabilities of its file: set-uid root it would
  // need SYS_ADMIN as well (tools/Dockerfile).
  // https://github.com/containers/buildah/blob/main/docs/tutorials/05-openshift-rootless-build.md
  local mapping = {
    allowPrivilegeEscalation: true,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'], add: ['SETGID', 'SETUID'] },
  };

  // Neither profile of the container runtime lets namespaces of users be made.
  local appArmor = versions.atLeast(cluster.minor, 30);
  local unconfined = {
    seccompProfile: { type: 'Unconfined' },
    [if appArmor then 'appArmorProfile']: { type: 'Unconfined' },
  };

  local pod(name, container) = {
    serviceAccountName: if tools(name) then 'deployer' else 'agent',
    // helm is the only one that asks the API.
    automountServiceAccountToken: tools(name),
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 30,
    securityContext: pods.nonRoot(1000) + (if builds(name) then unconfined else {}),
    nodeSelector: pods.linux + config.nodeSelector,
    initContainers: [{
      name: 'java',
      image: image(config.agentImage),
      command: ['/bin/sh', '-euc', std.join('\n', [
        // It runs again where the node has started anew, and finds what it left.
        'rm -rf /agent/java',
        'cp -R /opt/java/openjdk /agent/java',
        'cp /usr/share/jenkins/agent.jar /agent/agent.jar',
        'mkdir -p %s/.composer' % home,
      ] + (if builds(name) then ['mkdir -p -m 0700 ' + runtime] else []) + [
        'cp %s/composer.json %s/.composer/config.json' % [sources.folder, home],
      ] + (if !php(name) then [] else [
             'mkdir -p ' + programs,
             'cp %s/unzip %s/unzip' % [sources.folder, programs],
             'chmod 0755 %s/unzip' % programs,
           ]))],
      resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '256Mi' } },
      securityContext: pods.locked,
      volumeMounts: [
        { name: 'agent', mountPath: '/agent' },
        { name: 'home', mountPath: home },
        { name: 'sources', mountPath: sources.folder, readOnly: true },
      ],
    }] + (if !php(name) then [] else [{
            // The image of the language has none.
            name: 'composer',
            image: image(config.composerImage),
            command: ['/bin/cp', '/usr/bin/composer', programs + '/composer'],
            resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { memory: '64Mi' } },
            securityContext: pods.locked,
            volumeMounts: [{ name: 'agent', mountPath: '/agent' }],
          }]) + trust.initContainers(image(config.agentImage)),
    containers: [container {
      image: image(if tools(name) then config.toolsImage else config.agentImages[name]),
      workingDir: home + '/agent',
      // Without it buildah and skopeo write to /var/tmp, which is read-only.
      env: [{ name: 'HOME', value: home }, { name: 'TMPDIR', value: '/tmp' }]
           + sources.environment
           + trust.environment
           + (if tools(name) && !builds(name) then [
                { name: 'BUILDKIT_HOST', value: 'tcp://buildkitd.%s.svc.%s:1234' % [names.builds, cluster.domain] },
              ] else [])
           + (if builds(name) then [
                { name: 'BUILDAH_ISOLATION', value: 'chroot' },
                { name: 'XDG_RUNTIME_DIR', value: runtime },
              ] else []),
      resources: resources(name),
      securityContext: if builds(name) then mapping else pods.locked,
      volumeMounts: [
        { name: 'agent', mountPath: '/agent', readOnly: true },
        { name: 'home', mountPath: home },
        // Where nothing is mounted at the working directory, the plugin mounts a volume without a limit.
        { name: 'workspace', mountPath: home + '/agent' },
        { name: 'tmp', mountPath: '/tmp' },
        { name: 'sources', mountPath: sources.folder, readOnly: true },
      ] + trust.mounts + (if caches(name) then [{ name: 'caches', mountPath: '/caches' }] else []) + super.volumeMounts,
    }],
    volumes: [
      { name: 'agent', emptyDir: { sizeLimit: '1Gi' } },
      // buildah keeps its layers here.
      { name: 'home', emptyDir: { sizeLimit: if builds(name) then config.layersSize else config.workspaceSize } },
      { name: 'workspace', emptyDir: { sizeLimit: config.workspaceSize } },
      { name: 'tmp', emptyDir: { sizeLimit: config.workspaceSize } },
      { name: 'sources', configMap: { name: 'package-sources' } },
    ] + trust.volumes + (if caches(name) then [{ name: 'caches', persistentVolumeClaim: { claimName: config.cachesClaim } }] else []),
  };

  // What the image itself has goes before.
  local withPrograms = ['/bin/sh', '-c', 'export PATH="$PATH:%s"; exec "$@"' % programs, 'agent'];
  local connect(name, agent, secret) = (if php(name) then withPrograms else []) + [
    '/agent/java/bin/java',
    '-jar',
    '/agent/agent.jar',
    '-url',
    address.url,
    '-tunnel',
    address.tunnel,
    '-name',
    agent,
    '-secret',
    secret,
    '-workDir',
    home + '/agent',
  ];

  local onDemand(name) =
    local text = yaml({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { labels: labels(name) },
      spec: { restartPolicy: 'Never' } + pod(name, {
        // The container of this name is the agent itself; the plugin gives it these two variables.
        name: 'jnlp',
        command: connect(name, '$(JENKINS_AGENT_NAME)', '$(JENKINS_SECRET)'),
        volumeMounts: [],
      }),
    });
    {
      // Said, since it is made up anew at each start otherwise, and pods of before belong to nothing then.
      id: 'slipway-' + name,
      name: name,
      label: name,
      namespace: namespace(name),
      nodeUsageMode: 'EXCLUSIVE',
      instanceCap: config.agentsAtOnce,
      slaveConnectTimeout: 300,
      showRawYaml: false,
      yamlMergeStrategy: 'override',
      yaml: text,
    };

  local statefulSet(name) = kube.object('apps/v1', 'StatefulSet', 'agent-' + name, namespace(name))
                            + { metadata+: { labels+: labels(name) } } + {
    spec: {
      serviceName: 'agent-' + name,
      replicas: 1,
      revisionHistoryLimit: 3,
      updateStrategy: { type: 'RollingUpdate' },
      selector: { matchLabels: kube.selector('jenkins', 'agent') + { 'slipway.io/agent': name } },
      template: {
        metadata: {
          labels: labels(name),
          annotations: pods.restartOn(sources.configMap(namespace(name)) + {
            data+: if trust.wanted then { trust: trust.data } else {},
          })
                       + (if builds(name) && !appArmor
                          then { 'container.apparmor.security.beta.kubernetes.io/agent': 'unconfined' } else {}),
        },
        spec: pod(name, {
          name: 'agent',
          command: connect(name, name, '@/etc/slipway/agent/secret'),
          volumeMounts: [{ name: 'secret', mountPath: '/etc/slipway/agent', readOnly: true }],
        }) + {
          volumes+: [{
            name: 'secret',
            secret: {
              secretName: 'agent-' + name,
              // The pod waits until the controller has filled it.
              items: [{ key: 'secret', path: 'secret' }],
              defaultMode: std.parseOctal('440'),
            },
          }],
        },
      },
    },
  };

  local templates = [onDemand(name) for name in every if !static(name)];
  {
    address:: address,
    templates:: templates,
    // Nodes of Jenkins' own, to which the StatefulSets connect.
    nodes:: [
      {
        permanent: {
          name: name,
          labelString: name,
          mode: 'EXCLUSIVE',
          numExecutors: config.executors,
          remoteFS: home + '/agent',
          retentionStrategy: 'always',
          launcher: 'inbound',
        },
      }
      for name in every
      if static(name)
    ],
    // What the controller fills, as init/agentSecrets.groovy reads it.
    secrets:: std.join(' ', ['%s=%s/agent-%s' % [name, namespace(name), name] for name in every if static(name)]),
    // No container names these: the controller makes the pods.
    images:: std.set([image(config.agentImage), image(config.composerImage)] + [
      image(if tools(name) then config.toolsImage else config.agentImages[name])
      for name in every
    ]),
    agentAccount: kube.serviceAccount('agent', names.agents) + kube.labelled('jenkins', 'agent'),
    deployerAccount: kube.serviceAccount('deployer', names.toolsNamespace(config)) + kube.labelled('jenkins', 'agent'),
  } + {
    ['static-' + name]: statefulSet(name)
    for name in every
    if static(name)
  } + {
    // An agent offers nothing: its Service gives the pod its name.
    ['service-' + name]: kube.service('agent-' + name, namespace(name), kube.selector('jenkins', 'agent') + {
      'slipway.io/agent': name,
    }, []) + { spec+: { clusterIP: 'None' } }
    for name in every
    if static(name)
  } + {
    // Jenkins itself fills it (init/agentSecrets.groovy), and may do nothing else with Secrets.
    ['secret-' + name]: kube.object('v1', 'Secret', 'agent-' + name, namespace(name)) + kube.labelled('jenkins', 'agent')
                        + { type: 'Opaque' }
    for name in every
    if static(name)
  } + {
    local these = [name for name in every if static(name) && namespace(name) == one],
    ['secretsRole-' + one]: kube.role('jenkins-agent-secrets', one, [{
      apiGroups: [''],
      resources: ['secrets'],
      resourceNames: ['agent-' + name for name in these],
      verbs: ['patch'],
    }]) + kube.labelled('jenkins', 'controller')
    for one in std.set([namespace(name) for name in every if static(name)])
  } + {
    ['secretsBinding-' + one]:
      kube.roleBinding('jenkins-agent-secrets', one, 'jenkins-agent-secrets', [kube.account('jenkins', names.controller)])
      + kube.labelled('jenkins', 'controller')
    for one in std.set([namespace(name) for name in every if static(name)])
  }
