// Rootless image builds, in a namespace in which nobody but an administrator may make pods.
local kube = import '../lib/kubernetes.libsonnet';
local pods = import '../lib/pods.libsonnet';
local quantities = import '../lib/quantities.libsonnet';
local versions = import '../lib/versions.libsonnet';
local names = import 'names.libsonnet';

function(cluster, config, image, trust)
  local selector = names.builderPods;
  local packages = [config.sources[name] for name in std.objectFields(config.sources)];
  local asked = { exec: { command: ['buildctl', '--addr', 'tcp://127.0.0.1:1234', 'debug', 'workers'] }, timeoutSeconds: 10 };
  // Megabytes of layers that stay from build to build. Without it BuildKit reckons with the node's whole disk, and fills the
  // volume until the kubelet ends the pod. What one build needs beside is the rest.
  local kept = std.max(1, std.floor(quantities.bytes(config.layersSize) * 0.8 / 1e6));
  local appArmor = versions.atLeast(cluster.minor, 30);
  {
    // Both builders make namespaces of users, which the seccomp profile of container runtimes forbids, so they run without
    // one; only the level privileged lets that be (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
    buildNamespace: kube.namespace(names.builds, 'privileged'),
    buildDenyAll: kube.denyAll(names.builds),
    buildDNS: kube.allowDNS(names.builds),
    // Base images and packages; what a RUN of a Dockerfile asks goes the same way.
    buildOut: kube.networkPolicy('allow-out', names.builds, {
      podSelector: {},
      policyTypes: ['Egress'],
      egress: [{ ports: names.tcp(std.set(config.buildPorts + names.portsIn(packages + [cluster.addons.registry]))) }],
    }),
  } + (if config.builder != 'buildkit' then {} else {
         builderAccount: kube.serviceAccount('buildkitd', names.builds) + kube.labelled('jenkins', 'builder'),
         builderService: kube.service('buildkitd', names.builds, selector, [{ name: 'buildkit', port: 1234, targetPort: 'buildkit' }])
                         + kube.labelled('jenkins', 'builder'),
         // The only ones that may have something built: the socket has no password.
         allowBuilds: kube.networkPolicy('allow-agents', names.builds, {
           podSelector: { matchLabels: selector },
           policyTypes: ['Ingress'],
           ingress: [{ from: [names.ours(names.agents, names.toolsPods)], ports: names.tcp([1234]) }],
         }),
         builder: kube.object('apps/v1', 'Deployment', 'buildkitd', names.builds) + kube.labelled('jenkins', 'builder') + {
           spec: {
             replicas: 1,
             revisionHistoryLimit: 3,
             // Two would not share what they keep on their disk.
             strategy: { type: 'Recreate' },
             selector: { matchLabels: selector },
             template: {
               metadata: {
                 labels: kube.labels('jenkins', 'builder'),
                 [if !appArmor || trust.wanted then 'annotations']:
                   (if appArmor then {} else { 'container.apparmor.security.beta.kubernetes.io/buildkitd': 'unconfined' })
                   + (if trust.wanted then pods.restartOn({ data: trust.data }) else {}),
               },
               spec: {
                 serviceAccountName: 'buildkitd',
                 automountServiceAccountToken: false,
                 enableServiceLinks: false,
                 nodeSelector: pods.linux + config.nodeSelector,
                 // https://github.com/moby/buildkit/blob/master/docs/rootless.md: neither profile lets rootlesskit mount.
                 securityContext: pods.nonRoot(1000) + {
                   seccompProfile: { type: 'Unconfined' },
                   [if appArmor then 'appArmorProfile']: { type: 'Unconfined' },
                 },
                 containers: [{
                   name: 'buildkitd',
                   image: image(config.buildkitImage),
                   args: [
                     '--addr=unix:///run/user/1000/buildkit/buildkitd.sock',
                     '--addr=tcp://0.0.0.0:1234',
                     // Steps of a build see each other's processes: a PID namespace would need /proc unmasked.
                     '--oci-worker-no-process-sandbox',
                     // Reserved, to be left free, at most: https://github.com/moby/buildkit/blob/master/cmd/buildkitd/util.go
                     '--oci-worker-gc-keepstorage=0,0,%d' % kept,
                   ],
                   // The image says a folder of its home, where rootlesskit could not make its own: the root is read-only.
                   // XDG_RUNTIME_DIR is /run/user/1000 and HOME /home/user, as mounted below
                   // (https://github.com/moby/buildkit/blob/master/Dockerfile, stage rootless).
                   env: [{ name: 'TMPDIR', value: '/tmp' }] + trust.plain.environment,
                   ports: [{ name: 'buildkit', containerPort: 1234, protocol: 'TCP' }],
                   readinessProbe: asked { periodSeconds: 30, initialDelaySeconds: 5 },
                   livenessProbe: asked { periodSeconds: 30, initialDelaySeconds: 30 },
                   resources: config.buildResources,
                   securityContext: {
                     // newuidmap maps the users of images. The image is made for Docker's default capabilities, of which
                     // these two are all that it takes.
                     allowPrivilegeEscalation: true,
                     readOnlyRootFilesystem: true,
                     capabilities: { drop: ['ALL'], add: ['SETGID', 'SETUID'] },
                   },
                   volumeMounts: [
                     { name: 'layers', mountPath: '/home/user/.local/share/buildkit' },
                     { name: 'run', mountPath: '/run/user/1000' },
                     { name: 'tmp', mountPath: '/tmp' },
                   ] + trust.plain.mounts,
                 }],
                 volumes: [
                   { name: 'layers', emptyDir: { sizeLimit: config.layersSize } },
                   { name: 'run', emptyDir: { sizeLimit: '64Mi' } },
                   { name: 'tmp', emptyDir: { sizeLimit: config.workspaceSize } },
                 ] + trust.plain.volumes,
               },
             },
           },
         },
       })
