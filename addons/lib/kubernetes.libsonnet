// The API objects that addons are made of, with what all of them have in common.
local versions = import 'versions.libsonnet';
local rbac = 'rbac.authorization.k8s.io';

local labels(name, component=null) = {
  'app.kubernetes.io/name': name,
  'app.kubernetes.io/part-of': 'slipway',
  [if component != null then 'app.kubernetes.io/component']: component,
};

// What selects pods: of the labels only those that never change.
local selector(name, component=null) = {
  'app.kubernetes.io/name': name,
  [if component != null then 'app.kubernetes.io/component']: component,
};

local object(apiVersion, kind, name, namespace=null) = {
  apiVersion: apiVersion,
  kind: kind,
  metadata: { name: name, [if namespace != null then 'namespace']: namespace },
};

local roleRef(kind, name) = { apiGroup: rbac, kind: kind, name: name };

local policy(name, namespace, spec) = object('networking.k8s.io/v1', 'NetworkPolicy', name, namespace) + { spec: spec };

{
  labels:: labels,
  selector:: selector,
  labelled(name, component=null):: { metadata+: { labels+: labels(name, component) } },
  object:: object,

  // A Deployment or a DaemonSet: what it selects are the pods that it makes.
  workload(kind, name, namespace, addon, component=null):: object('apps/v1', kind, name, namespace) + {
    metadata+: { labels: labels(addon, component) },
    spec: {
      revisionHistoryLimit: 3,
      selector: { matchLabels: selector(addon, component) },
      template: { metadata: { labels: labels(addon, component) } },
    },
  },

  // `enforce` is the level of Pod Security: restricted, baseline or privileged
  // (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
  namespace(name, enforce):: object('v1', 'Namespace', name) + {
    metadata+: {
      labels: labels(name) + {
        ['pod-security.kubernetes.io/' + mode]: enforce
        for mode in ['enforce', 'audit', 'warn']
      } + {
        ['pod-security.kubernetes.io/%s-version' % mode]: 'latest'
        for mode in ['enforce', 'audit', 'warn']
      },
    },
  },
  // No pod gets a token unasked: one that uses the API says so in its own spec.
  serviceAccount(name, namespace):: object('v1', 'ServiceAccount', name, namespace) + {
    automountServiceAccountToken: false,
  },
  account(name, namespace):: { kind: 'ServiceAccount', name: name, namespace: namespace },
  clusterRole(name, rules):: object(rbac + '/v1', 'ClusterRole', name) + { rules: rules },
  role(name, namespace, rules):: object(rbac + '/v1', 'Role', name, namespace) + { rules: rules },
  clusterRoleBinding(name, role, subjects):: object(rbac + '/v1', 'ClusterRoleBinding', name) + {
    roleRef: roleRef('ClusterRole', role),
    subjects: subjects,
  },
  roleBinding(name, namespace, role, subjects, kind='Role'):: object(rbac + '/v1', 'RoleBinding', name, namespace) + {
    roleRef: roleRef(kind, role),
    subjects: subjects,
  },
  configMap(name, namespace, data):: object('v1', 'ConfigMap', name, namespace) + { data: data },
  // The certificate `leaf` of Slipway's own with its key, and the CA that both sides check each other against.
  certificate(cluster, name, namespace, leaf):: object('v1', 'Secret', name, namespace) + {
    type: 'Opaque',
    data: {
      'ca.crt': { text: cluster.certificates.ca },
      'tls.crt': { text: cluster.certificates[leaf] },
      'tls.key': { secret: 'pki/' + leaf },
    },
  },
  // The protocol is always said: server-side apply of Kubernetes 1.20 knows a port by number and protocol and refuses
  // one without.
  service(name, namespace, selector, ports):: object('v1', 'Service', name, namespace) + {
    spec: { selector: selector, ports: [{ protocol: 'TCP' } + port for port in ports] },
  },
  podDisruptionBudget(minor, name, namespace, selector, spec)::
    object(versions.podDisruptionBudget(minor), 'PodDisruptionBudget', name, namespace) + {
      spec: { selector: { matchLabels: selector } } + spec,
    },
  networkPolicy:: policy,
  // In a namespace of ours nothing may come or go but what a policy beside this one lets.
  denyAll(namespace):: policy('default-deny', namespace, {
    podSelector: {},
    policyTypes: ['Ingress', 'Egress'],
  }),
  // Pods may ask DNS, wherever it answers: NodeLocal DNS listens on hosts.
  allowDNS(namespace):: policy('allow-dns', namespace, {
    podSelector: {},
    policyTypes: ['Egress'],
    egress: [{ ports: [{ port: 53, protocol: 'UDP' }, { port: 53, protocol: 'TCP' }] }],
  }),
}
