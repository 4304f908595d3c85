"""The sections of cluster.yaml about folders, encryption, audit, certificates, the runtime and artifacts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from generator.spec.scalars import AbsolutePath, PinnedImage, RelativePath, Validity, Version, VersionOrNone
from generator.spec.scalars_network import RegistryHost, Url
from generator.spec.schema_base import Section

CaName = Literal["ca", "etcd/ca", "front-proxy-ca"]
LeafName = Literal[
    "apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-client", "etcd/server", "etcd/peer",
    "etcd/healthcheck-client", "etcd/backup", "controller-manager", "scheduler", "csr-approver", "kube-proxy",
    "addons/calico-node", "addons/metrics-server", "addons/typha",
]  # fmt: skip


class VersionsSpec(Section):
    """Versions as text in quotes, without a leading v."""

    kubernetes: Version = Field(description='Kubernetes, major.minor.patch in quotes, like "1.36.1".')
    etcd: Version | None = Field(None, description="etcd: what suits the Kubernetes minor unless said.")
    containerd: Version | None = Field(None, description="containerd: what suits the Kubernetes minor unless said.")
    runc: Version | None = Field(None, description="runc: what suits the Kubernetes minor unless said.")
    cni_plugins: Version | None = Field(None, description="CNI plugins: what suits the Kubernetes minor unless said.")
    crictl: VersionOrNone | None = Field(
        None, description="crictl: what suits the Kubernetes minor unless said; none leaves it off the hosts."
    )
    age: Version | None = Field(None, description="age, where backups are encrypted: 1.2.1 unless said.")


class DirectoriesSpec(Section):
    """Where hosts keep state, data and logs."""

    etcd_data: AbsolutePath = Field("/var/lib/etcd", description="Data of etcd.")
    etcd_wal: AbsolutePath | None = Field(
        None, description="Write-ahead log of etcd, best on a disk of its own; in etcdData unless said."
    )
    kubelet: AbsolutePath = Field("/var/lib/kubelet", description="Root of the kubelet: pods, volumes, certificates.")
    containerd: AbsolutePath = Field("/var/lib/containerd", description="Root of containerd: images and containers.")
    audit_log: AbsolutePath = Field("/var/log/kubernetes", description="Folder of the API server's audit log.")


class EncryptionSpec(Section):
    """Encryption at rest in etcd."""

    provider: Literal["secretbox", "aescbc", "aesgcm", "none"] = Field(
        "secretbox", description="Provider that writes; none turns it off."
    )
    resources: list[str] = Field(
        ["secrets"], min_length=1, description="What is encrypted: plural names, with .group outside the core."
    )


class AuditSpec(Section):
    """The API server's audit log."""

    enabled: bool = Field(True, description="Whether an audit log is written.")
    max_age: int = Field(30, ge=1, le=3650, description="Days for which old files are kept.")
    max_backups: int = Field(10, ge=1, le=1000, description="Number of old files that are kept.")
    max_size: int = Field(100, ge=1, le=10000, description="Size in MiB at which a file is rotated.")
    policy: RelativePath | None = Field(
        None, description="Audit policy of your own, relative to cluster.yaml; ours unless said."
    )


class ValiditySpec(Section):
    """How long certificates are valid: a number with d, w or y."""

    ca: Validity = Field("10y", description="Validity of the CAs.")
    leaf: Validity = Field("1y", description="Validity of all other certificates.")
    cas: dict[CaName, Validity] = Field({}, description="Validity of single CAs: ca, etcd/ca, front-proxy-ca.")
    leaves: dict[LeafName, Validity] = Field(
        {}, description="Validity of single kinds of certificate, by kubeadm's names or as addons/metrics-server."
    )


class SubjectSpec(Section):
    """Fields added to the subject of the CAs and server certificates."""

    country: str | None = Field(
        None, min_length=2, max_length=2, pattern="^[A-Z]{2}$", description="Country, two capital letters."
    )
    state: str | None = Field(None, min_length=1, max_length=64, description="State or province.")
    locality: str | None = Field(None, min_length=1, max_length=64, description="Town.")
    organizational_unit: str | None = Field(None, min_length=1, max_length=64, description="Organizational unit.")


class PkiSpec(Section):
    """What certificates look like."""

    algorithm: Literal["ecdsa-p256", "rsa-2048", "rsa-3072", "rsa-4096"] = Field(
        "ecdsa-p256", description="Kind of key."
    )
    validity: ValiditySpec = Field(ValiditySpec(), description="How long certificates are valid.")
    subject: SubjectSpec = Field(
        SubjectSpec(), description="Fields added to subjects; never common name or organization."
    )
    kube_proxy_certificate: bool = Field(
        False, description="Whether kube-proxy gets a certificate of its own, not the kubelet's."
    )
    external_ca: bool = Field(
        False, alias="externalCA", description="Whether our CAs are intermediates, signed by a CA of yours."
    )
    warn_before: Validity = Field("30d", description="How long before its end a certificate is warned about.")


class RegistrySpec(Section):
    """How containerd reaches one registry."""

    host: RegistryHost = Field(
        description="Registry as image names write it: docker.io, registry.example.net:5000, or _default."
    )
    mirrors: list[Url] = Field([], description="URLs that are tried before the registry itself, in order.")
    ca_file: RelativePath | None = Field(None, description="CA certificate of the registry, relative to cluster.yaml.")
    skip_verify: bool = Field(False, description="Whether its certificate is accepted unchecked.")
    credentials: bool = Field(
        False, description="Whether nodes log in there with what `secrets.set --name registry/HOST` has sealed."
    )


class RuntimeSpec(Section):
    """The container runtime."""

    cgroup_driver: Literal["systemd", "cgroupfs"] = Field(
        "systemd", description="Who manages cgroups, for kubelet and containerd alike."
    )
    sandbox_image: str = Field(
        "registry.k8s.io/pause:3.10", min_length=1, pattern=r"^\S+$", description="Image of the pause container."
    )
    registries: list[RegistrySpec] = Field([], description="Mirrors and CAs of registries.")


class VerifySpec(Section):
    """The functional test."""

    image: PinnedImage = Field(
        "docker.io/library/busybox:1.36.1",
        description="Image of the test pods, with tag or digest; all that it must have is /bin/busybox.",
    )


class ArtifactsSpec(Section):
    """Where binaries come from."""

    mirror: Url | None = Field(None, description="Base URL of a mirror; the official downloads unless said.")
    fetch: Literal["host", "push"] = Field("host", description="Who fetches: each host by HTTP, or push through SSH.")
