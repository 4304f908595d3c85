// metrics-server: what nodes and pods use, for `kubectl top` and for autoscalers.
// It asks every kubelet and serves what it hears as metrics.k8s.io behind the API server. Both ways are verified: the
// kubelets by the cluster's CA, and it by the API server. docs/addons/metrics-server.md compares it with upstream.
local images = import 'lib/images.libsonnet';
local knobs = import 'lib/knobs.libsonnet';
local kube = import 'lib/kubernetes.libsonnet';
local pods = import 'lib/pods.libsonnet';
local versions = import 'lib/versions.libsonnet';

local name = 'metrics-server';
local namespace = 'kube-system';
local leaf = 'addons/metrics-server';
local folder = '/etc/metrics-server';

// Which release is for which minor: https://github.com/kubernetes-sigs/metrics-server#compatibility-matrix. 0.6 is for
// 1.25 on by that table today, and was for 1.19 on while those minors were supported.
local release(minor) =
  if versions.atLeast(minor, 31) then 'v0.8.1'
  else if versions.atLeast(minor, 27) then 'v0.7.2'
  else 'v0.6.4';

local defaults = {
  // The release that is for the cluster's minor, where it is null.
  image: null,
  // Upstream's measure for each 100 nodes that have begun, where it is null.
  resources: null,
  // Where kubelets listen: what the policy lets out.
  kubeletPort: 10250,
  extraArgs: [],
};

// Upstream's measure is 100m and 200Mi for up to 100 nodes, and 1m and 2Mi for each further one
// (https://github.com/kubernetes-sigs/metrics-server#scaling). In steps of 100, so that one more node replaces no pod.
local resourcesFor(nodes) =
  local hundreds = std.max(1, std.ceil(nodes / 100));
  {
    requests: { cpu: '%dm' % (100 * hundreds), memory: '%dMi' % (200 * hundreds) },
    limits: { memory: '%dMi' % (400 * hundreds) },
  };

local rbac = 'rbac.authorization.k8s.io';

function(cluster, params)
  local config = knobs('metricsServer', cluster.addons.metricsServer + defaults, params);
  local image = images(cluster, config);
  local account = kube.account(name, namespace);
  local selector = kube.selector(name);
  local several = config.replicas > 1;
  // Its CA is also that of the kubelets' serving certificates.
  local secret = kube.certificate(cluster, name + '-tls', namespace, leaf) + kube.labelled(name);
  local probe(path) = { httpGet: { path: path, port: 'https', scheme: 'HTTPS' }, periodSeconds: 10, failureThreshold: 3 };
  {
    account: kube.serviceAccount(name, namespace) + kube.labelled(name),
    role: kube.clusterRole('system:metrics-server', [
      { apiGroups: [''], resources: ['nodes/metrics'], verbs: ['get'] },
      { apiGroups: [''], resources: ['pods', 'nodes'], verbs: ['get', 'list', 'watch'] },
    ]) + kube.labelled(name),
    binding: kube.clusterRoleBinding('system:metrics-server', 'system:metrics-server', [account]) + kube.labelled(name),
    // It asks the API who its callers are and what they may; and reads there whom to trust as the API server's own call.
    delegator: kube.clusterRoleBinding('metrics-server:system:auth-delegator', 'system:auth-delegator', [account])
               + kube.labelled(name),
    authReader: kube.roleBinding('metrics-server-auth-reader', namespace, 'extension-apiserver-authentication-reader', [account])
                + kube.labelled(name),
    // Whoever may view a namespace may see what its pods use.
    reader: kube.clusterRole('system:aggregated-metrics-reader', [
      { apiGroups: ['metrics.k8s.io'], resources: ['pods', 'nodes'], verbs: ['get', 'list', 'watch'] },
    ]) + kube.labelled(name) + {
      metadata+: { labels+: { [rbac + '/aggregate-to-' + to]: 'true' for to in ['view', 'edit', 'admin'] } },
    },
    secret: secret,
    service: kube.service(name, namespace, selector, [
      { name: 'https', port: 443, protocol: 'TCP', targetPort: 'https' },
    ]) + kube.labelled(name),
    apiService: kube.object('apiregistration.k8s.io/v1', 'APIService', 'v1beta1.metrics.k8s.io') + kube.labelled(name) + {
      spec: {
        group: 'metrics.k8s.io',
        version: 'v1beta1',
        groupPriorityMinimum: 100,
        versionPriority: 100,
        service: { name: name, namespace: namespace, port: 443 },
        caBundle: std.base64(cluster.certificates.ca),
      },
    },
    // The API server calls from its host, at an address that depends on the pod network: only ports can be named.
    policy: kube.networkPolicy(name, namespace, {
      podSelector: { matchLabels: selector },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ ports: [{ port: 10250, protocol: 'TCP' }] }],
      egress: [{
        ports: [
          { port: port, protocol: 'TCP' }
          for port in std.set([config.kubeletPort] + [server.port for server in cluster.apiServers])
        ],
      }],
    }) + kube.labelled(name),
    [if several then 'budget']: kube.podDisruptionBudget(cluster.minor, name, namespace, selector, { minAvailable: 1 })
                                + kube.labelled(name),
    deployment: kube.workload('Deployment', name, namespace, name) + {
      spec+: {
        replicas: config.replicas,
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        template+: {
          metadata+: {
            // A new key, or another CA, is read by a new pod.
            annotations: pods.restartOn(secret) + { 'slipway.io/key': cluster.secretIds['pki/' + leaf] },
          },
          spec+: {
            serviceAccountName: name,
            automountServiceAccountToken: true,
            enableServiceLinks: false,
            priorityClassName: 'system-cluster-critical',
            nodeSelector: pods.linux,
            tolerations: pods.onControlPlane(cluster.minor),
            [if several then 'affinity']: pods.apart(selector),
            securityContext: pods.nonRoot(1000),
            containers: [{
              name: name,
              image: image(if config.image != null then config.image else
                'registry.k8s.io/metrics-server/metrics-server:' + release(cluster.minor)),
              args: [
                '--secure-port=10250',
                '--tls-cert-file=%s/tls.crt' % folder,
                '--tls-private-key-file=%s/tls.key' % folder,
                '--kubelet-certificate-authority=%s/ca.crt' % folder,
                // Kubelets' certificates have their address and name; the address needs no DNS.
                '--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname',
                '--kubelet-use-node-status-port',
                '--metric-resolution=%ds' % config.resolutionSeconds,
              ] + config.extraArgs,
              ports: [{ name: 'https', containerPort: 10250, protocol: 'TCP' }],
              livenessProbe: probe('/livez'),
              // It is ready once it has asked the kubelets twice.
              readinessProbe: probe('/readyz') + { initialDelaySeconds: 20 },
              resources: if config.resources != null then config.resources else resourcesFor(cluster.nodeCount),
              securityContext: pods.locked,
              volumeMounts: [{ name: 'tls', mountPath: folder, readOnly: true }],
            }],
            // The user 1000 reads them by its group.
            volumes: [{ name: 'tls', secret: { secretName: name + '-tls', defaultMode: 288 } }],
          },
        },
      },
    },
  }
