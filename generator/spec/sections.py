"""The sections of a loaded spec that concern the cluster as a whole: versions, folders, disks, firewall, pki, runtime.

Like everything of the model they are complete and immutable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from generator.spec.versions import AGE

Held = Literal["etcd", "etcd-wal", "kubelet", "containerd", "pod-logs"]
"""A folder of ours that can lie on a data disk."""

POD_LOGS = "/var/log/pods"
"""Where the kubelet writes the logs of pods (podLogsRootDirectory), in every supported minor."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions as text, without a leading v; `crictl` is "" where hosts get none."""

    kubernetes: str
    etcd: str
    containerd: str
    runc: str
    cni_plugins: str
    crictl: str
    age: str = AGE

    @property
    def minor(self) -> tuple[int, int]:
        """The Kubernetes minor, (1, 20) for 1.20.2."""
        major, minor = self.kubernetes.split(".")[:2]
        return int(major), int(minor)

    @property
    def minor_text(self) -> str:
        """The Kubernetes minor as the flag tables write it: "1.20"."""
        return f"{self.minor[0]}.{self.minor[1]}"


@dataclass(frozen=True, slots=True)
class Directories:
    """State, data and log folders on hosts, absolute. `etcd_wal` is None where the log lies in the data folder."""

    etcd_data: str
    etcd_wal: str | None
    kubelet: str
    containerd: str
    audit_log: str

    def of(self, held: Held) -> str | None:
        """Return the folder that a data disk may hold, None where the spec gives it no place of its own."""
        folders: Mapping[Held, str | None] = {
            "etcd": self.etcd_data,
            "etcd-wal": self.etcd_wal,
            "kubelet": self.kubelet,
            "containerd": self.containerd,
            "pod-logs": POD_LOGS,
        }
        return folders[held]


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that gets a file system while it is empty, and is mounted; `holds` is sorted."""

    device: str
    file_system: str
    mount: str
    holds: tuple[Held, ...]

    @property
    def label(self) -> str:
        """The label of its file system, by which a disk that is prepared is known: 12 characters, as xfs takes.

        It follows from the mount point alone, so a disk that sits where another is expected is found out.
        """
        return f"slipway-{hashlib.sha256(self.mount.encode()).hexdigest()[:4]}"

    def folder(self, held: Held) -> str:
        """Return where on the disk one of our folders lies."""
        return f"{self.mount}/{held}"


@dataclass(frozen=True, slots=True)
class Firewall:
    """Whose rules decide: mode is keep, off or managed. `operators` are ranges; `node_protocols` names of IP."""

    mode: str = "keep"
    operators: tuple[str, ...] = ()
    node_protocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnListener:
    """A port of the user's own; `sources` are ranges, "nodes", "pods" or "anyone"."""

    port: int
    protocol: str
    sources: tuple[str, ...]
    purpose: str


@dataclass(frozen=True, slots=True)
class Encryption:
    """Encryption at rest: the writer's provider (aescbc, aesgcm, secretbox; "" for none) and what it covers."""

    provider: str
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """Audit log: age in days, number of old files, size in MiB; `policy` is the text of the user's own."""

    enabled: bool
    max_age: int
    max_backups: int
    max_size: int
    policy: str | None


@dataclass(frozen=True, slots=True)
class PkiSettings:
    """What certificates look like; validities in days, algorithm one of ecdsa-p256, rsa-2048, rsa-3072, rsa-4096.

    `ca_days` has every CA (ca, etcd/ca, front-proxy-ca) and `leaf_days` every kind of leaf by kubeadm's name
    (apiserver, etcd/server, …); `subject` holds the short names C, ST, L and OU, only those that are set.
    """

    algorithm: str
    ca_days: Mapping[str, int]
    leaf_days: Mapping[str, int]
    subject: Mapping[str, str]
    kube_proxy_leaf: bool
    external_ca: bool
    warn_days: int


@dataclass(frozen=True, slots=True)
class Registry:
    """One registry host as containerd's certs.d sees it; `ca_file` is the text of its CA certificate, or None.

    `credentials` says that nodes log in there, with the secret that `secret` names.
    """

    host: str
    mirrors: tuple[str, ...]
    ca_file: str | None
    skip_verify: bool
    credentials: bool = False

    @property
    def secret(self) -> str:
        """The name of the secret with which nodes log in: "registry/registry.example.net_5000" with a port."""
        return f"registry/{self.host.replace(':', '_')}"


@dataclass(frozen=True, slots=True)
class Runtime:
    """The container runtime. `cgroup_driver` is systemd or cgroupfs; `sandbox_image` the pause image."""

    cgroup_driver: str
    sandbox_image: str
    registries: tuple[Registry, ...]


@dataclass(frozen=True, slots=True)
class Verify:
    """The functional test; `image` is what its pods run, with tag or digest."""

    image: str


@dataclass(frozen=True, slots=True)
class Backup:
    """What files beside cluster.yaml add to the backup of etcd: all recipients, and the store's CA as PEM or None."""

    recipients: tuple[str, ...] = ()
    ca: str | None = None


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Where binaries come from: a mirror's base URL, or None for the official downloads; and who fetches.

    `fetch` is "host" (by HTTP on the host) or "push" (through SSH from the operator's machine).
    """

    mirror: str | None
    fetch: str


@dataclass(frozen=True, slots=True)
class Login:
    """Who may log in to a host; `keys` are lines of authorized_keys, `sudo` means everything without a password."""

    name: str
    keys: tuple[str, ...]
    sudo: bool
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CloudInit:
    """User-data of one pool's hosts.

    `targets` are names of `generator.spec.clouds.TARGETS`, sorted; without `logins` the image's own user stays.
    `whole` False brings the phase host-base alone.
    """

    targets: tuple[str, ...]
    logins: tuple[Login, ...]
    whole: bool
