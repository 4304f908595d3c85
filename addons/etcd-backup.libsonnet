// The backup of etcd as a CronJob; a timer on the hosts of etcd takes its place where the spec says so.
//
// Script, settings, certificate, etcd's tools and age lie on the control-plane hosts (component etcd-backup) and come into
// the pod read-only by hostPath, so all that the image needs is a shell and the tools of busybox; for S3 also curl.
local claims = import 'lib/claim.libsonnet';
local images = import 'lib/images.libsonnet';
local knobs = import 'lib/knobs.libsonnet';
local kube = import 'lib/kubernetes.libsonnet';
local pods = import 'lib/pods.libsonnet';
local versions = import 'lib/versions.libsonnet';

local name = 'etcd-backup';
local stateFolder = '/var/lib/slipway/etcd-backup';
local defaults = {
  // curlimages/curl has busybox as its shell.
  image: 'docker.io/library/busybox:1.36.1',
  s3Image: 'docker.io/curlimages/curl:8.11.1',
  resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '1Gi' } },
  // A run that could not begin within an hour is left out; one that takes four hours hangs.
  startingDeadlineSeconds: 3600,
  activeDeadlineSeconds: 4 * 3600,
  backoffLimit: 2,
  suspend: false,
};

function(cluster, params)
  local config = knobs('etcdBackup', cluster.addons.etcdBackup + defaults, params);
  local image = images(cluster, config);
  local target = config.target;
  local minor = cluster.minor;

  local folder(volume, path, type, readOnly=true) = {
    volume: { name: volume, hostPath: { path: path, type: type } },
    mount: { name: volume, mountPath: path, readOnly: readOnly },
  };
  local fromHost = [
    folder('script', '/usr/local/lib/slipway/etcd-backup', 'File'),
    folder('settings', '/etc/etcd-backup', 'Directory'),
    folder('etcd', '/opt/etcd/' + cluster.etcd.version, 'Directory'),
    // The lock against a second run on this host, and which snapshot was the last good one: `invoke status` reads it there.
    folder('state', stateFolder, 'DirectoryOrCreate', readOnly=false),
  ] + (if cluster.etcdBackup.age == null then [] else [folder('age', '/opt/age/' + cluster.etcdBackup.age, 'Directory')]);
  // A folder of an NFS server has no size of its own.
  local nfsStorage = {
    size: '1Gi',
    accessModes: ['ReadWriteMany'],
    existingClaim: null,
    nfs: target.nfs { mountOptions: cluster.etcdBackup.mountOptions + super.mountOptions },
  };
  local storage = if target.nfs != null then nfsStorage else target.pvc;
  local claim = if storage == null then { objects: {} } else claims(cluster, 'snapshots', name, storage);
  local backupVolume =
    if target.s3 != null then null
    else if target.hostPath != null then { hostPath: { path: target.hostPath, type: 'Directory' } }
    else { persistentVolumeClaim: { claimName: claim.name } };

  local pod = {
    serviceAccountName: name,
    automountServiceAccountToken: false,
    restartPolicy: 'OnFailure',
    priorityClassName: 'system-cluster-critical',
    // Members of etcd let hosts of the control plane in and no pods, and a backup must not need the network of pods.
    hostNetwork: true,
    dnsPolicy: 'Default',
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 30,
    nodeSelector: pods.linux,
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: 'node-role.kubernetes.io/control-plane', operator: 'Exists' }] },
          ],
        },
      },
    },
    tolerations: pods.onControlPlane(minor),
    securityContext: {
      // The one pod of Slipway's that is root without being part of a node: the key of etcd is a 0400 file of root's on
      // the host, for whoever reads it reads all of etcd. It has no capability, and can write its state and the target.
      runAsUser: 0,
      runAsGroup: 0,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [{
      name: name,
      image: image(if target.s3 != null then config.s3Image else config.image),
      command: ['/bin/sh', '/usr/local/lib/slipway/etcd-backup'],
      resources: config.resources,
      securityContext: pods.locked,
      volumeMounts: [one.mount for one in fromHost]
                    + [{ name: 'work', mountPath: stateFolder + '/work' }]
                    + (if backupVolume == null then [] else [{ name: 'target', mountPath: '/backup' }]),
    }],
    volumes: [one.volume for one in fromHost]
             + [{ name: 'work', emptyDir: {} }]
             + (if backupVolume == null then [] else [{ name: 'target' } + backupVolume]),
  };

  {
    // hostPath, host network and root: what comes into this namespace is a matter for administrators alone. There is no
    // Role in it, and no Secret.
    namespace: kube.namespace(name, 'privileged'),
    // The pod itself shares its host's network, where policies do not reach; nothing else has business here.
    denyAll: kube.denyAll(name),
    serviceAccount: kube.serviceAccount(name, name),
    cronJob: kube.object(versions.cronJob(minor), 'CronJob', name, name) + kube.labelled(name) + {
      spec: {
        schedule: config.schedule,
        // Below 1.25 it is the time of the controller managers' hosts.
        [if versions.atLeast(minor, 25) then 'timeZone']: 'Etc/UTC',
        concurrencyPolicy: 'Forbid',
        suspend: config.suspend,
        startingDeadlineSeconds: config.startingDeadlineSeconds,
        successfulJobsHistoryLimit: 3,
        failedJobsHistoryLimit: 3,
        jobTemplate: {
          spec: {
            activeDeadlineSeconds: config.activeDeadlineSeconds,
            backoffLimit: config.backoffLimit,
            template: { metadata: { labels: kube.labels(name) }, spec: pod },
          },
        },
      },
    },
  } + { [key]: claim.objects[key] + kube.labelled(name) for key in std.objectFields(claim.objects) }
