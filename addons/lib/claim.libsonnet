// The volume that an addon keeps something on: `storage` is a section of the spec with size, accessModes,
// storageClassName, existingClaim and nfs. Gives the name of the claim to mount, and the objects to add to the addon's.
local kube = import 'kubernetes.libsonnet';

function(cluster, name, namespace, storage)
  local existing = storage.existingClaim;
  local nfs = if std.objectHas(storage, 'nfs') then storage.nfs else null;
  // A class that no provisioner has and that only these two name: nobody else's claim is bound to the volume, and this
  // claim to no other (https://kubernetes.io/docs/concepts/storage/persistent-volumes/#class-1).
  local own = '%s-%s' % [namespace, name];
  local class = if nfs != null then own else storage.storageClassName;
  {
    name: if existing != null then existing else name,
    objects: if existing != null then {} else {
      claim: kube.object('v1', 'PersistentVolumeClaim', name, namespace) + {
        spec: {
          accessModes: storage.accessModes,
          resources: { requests: { storage: storage.size } },
          // Without one the cluster's default class is filled in.
          [if class != null then 'storageClassName']: class,
          [if nfs != null then 'volumeName']: own,
        },
      },
      [if nfs != null then 'volume']: kube.object('v1', 'PersistentVolume', own) + {
        spec: {
          accessModes: storage.accessModes,
          capacity: { storage: storage.size },
          storageClassName: own,
          // What lies on the server stays there when the claim goes.
          persistentVolumeReclaimPolicy: 'Retain',
          volumeMode: 'Filesystem',
          [if nfs.mountOptions != [] then 'mountOptions']: nfs.mountOptions,
          nfs: { server: nfs.server, path: nfs.path },
        },
      },
    },
  }
