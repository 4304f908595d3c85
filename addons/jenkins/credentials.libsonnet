// Jenkins' credentials: which there are, the Secret that holds their values, and how JCasC names them.
// A value is a file in the controller's pod that JCasC reads at its start
// (https://github.com/jenkinsci/configuration-as-code-plugin/blob/master/docs/features/secrets.adoc).
local kube = import '../lib/kubernetes.libsonnet';
local names = import 'names.libsonnet';

local folder = '/etc/slipway/secrets';
local read(id) = '${readFile:%s/%s}' % [folder, id];
// What a file credential holds is base64 in JCasC.
local file(id, what) = {
  file: {
    scope: 'GLOBAL',
    id: id,
    description: what,
    fileName: id,
    secretBytes: '${readFileBase64:%s/%s}' % [folder, id],
  },
};
local key(id, user, what) = {
  basicSSHUserPrivateKey: {
    scope: 'GLOBAL',
    id: id,
    description: what,
    username: user,
    privateKeySource: { directEntry: { privateKey: read(id) } },
  },
};

function(cluster, config)
  local machines = cluster.projects.machines;
  local git = config.git.secret;
  local ids = {
    sshKey: if config.sshKeySecret != null then config.sshKeySecret else 'vm-ssh-key',
    knownHosts: if config.knownHostsSecret != null then config.knownHostsSecret else 'vm-known-hosts',
  };
  local known =
    (if config.push.registry == null then {} else { [config.push.secret]: file(config.push.secret, 'may push images') })
    + (if config.sshKeySecret == null && !machines then {}
       else { [ids.sshKey]: key(ids.sshKey, names.tools, 'for virtual machines') })
    + (if config.knownHostsSecret == null && !machines then {}
       else { [ids.knownHosts]: file(ids.knownHosts, 'host keys of virtual machines') })
    + (if git == null then {}
       else if config.git.kind == 'ssh' then { [git]: key(git, config.git.user, 'fetches repositories') }
       else {
         [git]: {
           usernamePassword: {
             scope: 'GLOBAL',
             id: git,
             description: 'fetches repositories',
             username: config.git.user,
             password: read(git),
           },
         },
       })
    + { [id]: file(id, 'for notifications') for id in cluster.projects.webhooks }
    + { [id]: file(id, 'package sources, for image builds') for id in std.set(std.objectValues(config.buildSecrets)) };
  local account(user) = 'user-' + user;
  local sealed = { admin: config.adminSecret }
                 + { [account(user)]: names.sealed(account(user)) for user in std.set(config.users) }
                 + { [id]: names.sealed(id) for id in std.objectFields(known) };
  {
    folder:: folder,
    // Of each user of Jenkins' own login.
    passwords:: { [config.adminUser]: read('admin') } + { [user]: read(account(user)) for user in std.set(config.users) },
    casc:: { system: { domainCredentials: [{ credentials: std.objectValues(known) }] } },
    // Changes when another value is sealed, and with it the pod.
    ids:: { [name]: cluster.secretIds[name] for name in std.objectValues(sealed) if std.objectHas(cluster.secretIds, name) },
    secret: kube.object('v1', 'Secret', 'jenkins-credentials', names.controller) + kube.labelled('jenkins', 'controller') + {
      type: 'Opaque',
      data: { [id]: { secret: sealed[id] } for id in std.objectFields(sealed) },
    },
  }
