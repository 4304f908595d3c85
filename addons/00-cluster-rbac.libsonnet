// Who may do what: nodes, those that join, the API server towards kubelets, people, and the csr-approver.
// Roles whose names begin with `system:` are the API server's own
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings and
// https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/).
local defaults = {
  // Groups of users, as their certificates or tokens name them.
  bootstrappers: ['system:bootstrappers:slipway'],
  admins: ['slipway:admins'],
  readers: ['slipway:readers'],
  // Users of client certificates.
  kubeletClient: 'kube-apiserver-kubelet-client',
  csrApprover: 'slipway:csr-approver',
};

local rbac = 'rbac.authorization.k8s.io';

local subject(kind, name) = { apiGroup: rbac, kind: kind, name: name };
local groups(names) = [subject('Group', name) for name in names];
local user(name) = [subject('User', name)];

local clusterRole(name, rules) = {
  apiVersion: rbac + '/v1',
  kind: 'ClusterRole',
  metadata: { name: name },
  rules: rules,
};

local clusterRoleBinding(name, role, subjects) = {
  apiVersion: rbac + '/v1',
  kind: 'ClusterRoleBinding',
  metadata: { name: name },
  roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: role },
  subjects: subjects,
};

// `config` has beside them `nodes`, node name → the subject and the SAN extension, in hex, that its serving certificate
// may have, and `anonymousPaths`, paths of the API that anyone may read without credentials, beyond those that are open
// by default.
local objects(config) =
{
  // A bootstrap token may ask for a client certificate, and the controller manager signs it without a person.
  nodeBootstrappers: clusterRoleBinding('slipway:node-bootstrappers', 'system:node-bootstrapper', groups(config.bootstrappers)),
  nodeClients: clusterRoleBinding(
    'slipway:node-clients',
    'system:certificates.k8s.io:certificatesigningrequests:nodeclient',
    groups(config.bootstrappers)
  ),
  // A node renews its own client certificate.
  nodeRenewals: clusterRoleBinding(
    'slipway:node-renewals',
    'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient',
    groups(['system:nodes'])
  ),
  // kube-proxy uses the client certificate of its node's kubelet.
  nodeProxiers: clusterRoleBinding('slipway:node-proxiers', 'system:node-proxier', groups(['system:nodes'])),
  // The API server enters kubelets as a user of its own, for logs, exec and metrics, and not as system:masters.
  kubeletClient: clusterRoleBinding('slipway:kubelet-client', 'system:kubelet-api-admin', user(config.kubeletClient)),

  admins: clusterRoleBinding('slipway:admins', 'cluster-admin', groups(config.admins)),

  // Readers see what plan and status compare, and no Secret.
  readers: clusterRoleBinding('slipway:readers', 'view', groups(config.readers)),
  clusterReader: clusterRole('slipway:cluster-reader', [
    { apiGroups: [''], resources: ['nodes', 'namespaces', 'persistentvolumes'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: ['certificates.k8s.io'], resources: ['certificatesigningrequests'], verbs: ['get', 'list', 'watch'] },
    {
      apiGroups: [rbac],
      resources: ['clusterroles', 'clusterrolebindings', 'roles', 'rolebindings'],
      verbs: ['get', 'list', 'watch'],
    },
    { apiGroups: ['apiextensions.k8s.io'], resources: ['customresourcedefinitions'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: ['apiregistration.k8s.io'], resources: ['apiservices'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: ['scheduling.k8s.io'], resources: ['priorityclasses'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: ['storage.k8s.io'], resources: ['storageclasses', 'csidrivers', 'csinodes'], verbs: ['get', 'list', 'watch'] },
  ]),
  clusterReaders: clusterRoleBinding('slipway:cluster-readers', 'slipway:cluster-reader', groups(config.readers)),

  // The approver of serving certificates: reads requests and the list of nodes, approves for one signer.
  csrApproverRole: clusterRole('slipway:csr-approver', [
    { apiGroups: ['certificates.k8s.io'], resources: ['certificatesigningrequests'], verbs: ['get', 'list'] },
    { apiGroups: ['certificates.k8s.io'], resources: ['certificatesigningrequests/approval'], verbs: ['update'] },
    {
      apiGroups: ['certificates.k8s.io'],
      resources: ['signers'],
      resourceNames: ['kubernetes.io/kubelet-serving'],
      verbs: ['approve'],
    },
  ]),
  csrApprover: clusterRoleBinding('slipway:csr-approver', 'slipway:csr-approver', user(config.csrApprover)),
  csrApproverNodesRole: {
    apiVersion: rbac + '/v1',
    kind: 'Role',
    metadata: { name: 'slipway:csr-approver', namespace: 'kube-system' },
    rules: [{ apiGroups: [''], resources: ['configmaps'], resourceNames: ['slipway-nodes'], verbs: ['get'] }],
  },
  csrApproverNodes: {
    apiVersion: rbac + '/v1',
    kind: 'RoleBinding',
    metadata: { name: 'slipway:csr-approver', namespace: 'kube-system' },
    roleRef: { apiGroup: rbac, kind: 'Role', name: 'slipway:csr-approver' },
    subjects: user(config.csrApprover),
  },
  nodes: {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'slipway-nodes', namespace: 'kube-system' },
    data: config.nodes,
  },

  [if std.length(config.anonymousPaths) > 0 then 'anonymousReader']: clusterRole('slipway:anonymous-reader', [
    { nonResourceURLs: config.anonymousPaths, verbs: ['get'] },
  ]),
  [if std.length(config.anonymousPaths) > 0 then 'anonymousReaders']: clusterRoleBinding(
    'slipway:anonymous-readers', 'slipway:anonymous-reader', groups(['system:unauthenticated'])
  ),
};

{ defaults: defaults, objects: objects }
