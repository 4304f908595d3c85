// calico-kube-controllers: it frees the addresses of nodes and pods that are gone.
local kube = import '../lib/kubernetes.libsonnet';
local policies = import '../lib/network-policies.libsonnet';
local pods = import '../lib/pods.libsonnet';

local name = 'calico-kube-controllers';
local uid = 999;
local metricsPort = 9094;

function(cluster, config, namespace, image)
  local selector = kube.selector('calico', 'kube-controllers');
  local check(flag) = { exec: { command: ['/usr/bin/check-status', flag] }, periodSeconds: 10, timeoutSeconds: 10 };
  {
    controllers: kube.workload('Deployment', name, namespace, 'calico', 'kube-controllers') + {
      spec+: {
        // Two would work against each other.
        replicas: 1,
        strategy: { type: 'Recreate' },
        template+: {
          metadata+: { labels+: { 'k8s-app': name } },
          spec+: {
            serviceAccountName: name,
            automountServiceAccountToken: true,
            nodeSelector: pods.linux,
            tolerations: pods.onControlPlane(cluster.minor),
            priorityClassName: 'system-cluster-critical',
            securityContext: pods.nonRoot(uid),
            containers: [{
              name: name,
              image: image(config.images.kubeControllers),
              env: [
                { name: 'DATASTORE_TYPE', value: 'kubernetes' },
                { name: 'ENABLED_CONTROLLERS', value: 'node' },
              ],
              ports: [{ name: 'metrics', containerPort: metricsPort, protocol: 'TCP' }],
              resources: config.controllersResources,
              securityContext: pods.locked,
              livenessProbe: check('-l') { initialDelaySeconds: 10, failureThreshold: 6 },
              readinessProbe: check('-r'),
              // What the probes read.
              volumeMounts: [{ name: 'status', mountPath: '/status' }],
            }],
            volumes: [{ name: 'status', emptyDir: { sizeLimit: '1Mi' } }],
          },
        },
      },
    },
    controllersPolicy: kube.networkPolicy(name, namespace, {
      podSelector: { matchLabels: selector },
      policyTypes: ['Ingress', 'Egress'],
      ingress: if config.metrics.enabled then [{ ports: [{ port: metricsPort, protocol: 'TCP' }] }] else [],
      egress: policies.apiServers(cluster),
    }) + kube.labelled('calico', 'kube-controllers'),
  } + (
    if !config.metrics.enabled then {}
    else {
      controllersMetrics: kube.service(name + '-metrics', namespace, selector, [
        { name: 'metrics', port: metricsPort, targetPort: 'metrics' },
      ]) + kube.labelled('calico', 'kube-controllers') + { spec+: { clusterIP: 'None' } },
    }
  )
