// Who may do what in Jenkins, as matrix-auth's configurator of version 3.2 and later takes it
// (https://github.com/jenkinsci/matrix-auth-plugin, integrations/casc). Nobody who is not named here may do anything,
// whatever the login is.
local read = ['Overall/Read', 'Job/Read'];
local rights = {
  builders: read + ['Job/Build', 'Job/Cancel'],
  // To find the run and its question; the one for an environment asks for Job/Build, as one without `submitter` does
  // (https://plugins.jenkins.io/pipeline-input-step).
  approvers: read + ['Job/Build'],
  readers: read,
};

function(config)
  local administrators = [config.adminUser] + config.access.administrators;
  local lists = {
    builders: config.access.builders,
    approvers: config.approvers,
    readers: config.access.readers,
  };
  local named = std.set(administrators + std.flattenArrays(std.objectValues(lists)));
  // Jenkins' own group of all who have logged in.
  local everybody = 'authenticated';
  local users = [config.adminUser] + config.users;
  // A name from a directory is that of a user or of a group. matrix-auth has a kind for both, which it warns of.
  local kinds(name) =
    if name == everybody then ['group'] else if std.member(users, name) then ['user'] else ['user', 'group'];
  local permissions(name) =
    if std.member(administrators, name) then ['Overall/Administer']
    else std.set(std.flattenArrays([rights[list] for list in std.objectFields(lists) if std.member(lists[list], name)]));
  {
    strategy:: {
      globalMatrix: {
        entries: [{ [kind]: { name: name, permissions: permissions(name) } } for name in named for kind in kinds(name)],
      },
    },
    // Whom Jenkins' own login does not know: it has no groups.
    strangers:: [name for name in named if name != everybody && !std.member(users, name)],
  }
