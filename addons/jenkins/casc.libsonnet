// The controller's configuration as code (https://github.com/jenkinsci/configuration-as-code-plugin). Keys are those of
// the plugins' demos there and of their exports; secrets are read from files, none stands here.
local accessOf = import 'access.libsonnet';
local names = import 'names.libsonnet';

function(cluster, config, credentials, agents)
  local git(repository) = {
    remote: repository.url,
    [if config.git.secret != null then 'credentialsId']: config.git.secret,
  };
  local access = accessOf(config);
  local whole = std.mergePatch({
    jenkins: {
      systemMessage: 'Configured by Slipway from clusters/%s: what is changed here by hand is gone after a restart.' % cluster.name,
      // Nothing is built beside the controller's home, which holds the keys of all credentials.
      numExecutors: 0,
      mode: 'EXCLUSIVE',
      slaveAgentPort: config.ports.agent,
      markupFormatter: 'plainText',
      securityRealm: {
        'local': {
          allowsSignup: false,
          users: [{ id: id, password: credentials.passwords[id] } for id in std.objectFields(credentials.passwords)],
        },
      },
      authorizationStrategy: access.strategy,
      [if agents.nodes != [] then 'nodes']: agents.nodes,
      clouds: if agents.templates == [] then [] else [{
        kubernetes: {
          name: 'kubernetes',
          serverUrl: 'https://kubernetes.default',
          namespace: names.agents,
          jenkinsUrl: agents.address.url,
          jenkinsTunnel: agents.address.tunnel,
          containerCapStr: '%d' % config.agentsAtOnce,
          connectTimeout: 5,
          readTimeout: 15,
          retentionTimeout: 5,
          templates: agents.templates,
        },
      }],
    },
    credentials: credentials.casc,
    // Else the git client asks a file that no agent has.
    [if config.git.knownHosts != [] then 'security']: {
      gitHostKeyVerificationConfiguration: {
        sshHostKeyVerificationStrategy: {
          manuallyProvidedKeyVerificationStrategy: { approvedHostKeys: std.join('\n', config.git.knownHosts) + '\n' },
        },
      },
    },
    unclassified: {
      location: {
        url: if config.url != null then std.rstripChars(config.url, '/') + '/' else agents.address.url + '/',
        [if config.mail.host != null then 'adminAddress']: config.mail.from,
      },
      globalLibraries: {
        libraries: [{
          name: 'slipway',
          defaultVersion: config.library.ref,
          // A run takes the version that was reviewed, and no other.
          allowVersionOverride: false,
          implicit: false,
          retriever: { modernSCM: { scm: { git: git(config.library) }, libraryPath: config.libraryPath } },
        }],
      },
    },
    jobs: cluster.projects.jobs,
  }, config.configurationPatch);
  local member(map, key) = if std.isObject(map) && std.objectHas(map, key) then map[key] else null;
  local isLocal = member(member(member(whole, 'jenkins'), 'securityRealm'), 'local') != null;
  // Nobody would have their rights, and nobody answer for them.
  if isLocal && access.strangers != [] then
    error 'addons.jenkins.users lacks %s, of access or approvers: Jenkins\' own login knows %s, and no groups; %s' % [
      std.join(', ', access.strangers),
      std.join(', ', std.objectFields(credentials.passwords)),
      'add them, or lay another login over it by configurationPatch (docs/ci/jenkins.md)',
    ]
  else whole
