"""What an addon keeps on a volume: how large it is and where it comes from, since bare metal makes none by itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from generator.spec.scalars import complaint, is_subdomain, matching
from generator.spec.scalars_network import Endpoint
from generator.spec.schema_base import Section

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster
    from generator.spec.yaml_source import Path

AccessMode = Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"]
"""How nodes may mount a volume. ReadWriteOncePod is none: it is for CSI volumes, and none of ours is one."""

CLASS_NAME = "local-path"
"""The class of the local path provisioner, by upstream's name."""

NFS_PACKAGES = {"debian": "nfs-common", "redhat": "nfs-utils"}
"""The package of each family with the program that mounts NFS, which the kubelet calls on the node."""


def _object_name(text: str) -> str:
    if is_subdomain(text):
        return text
    raise complaint(f"{text!r} is not the name of an object", "write lower-case letters, digits, hyphens and dots")


def _export(text: str) -> str:
    if re.fullmatch(r"/[A-Za-z0-9._/-]*", text) and ".." not in text.split("/"):
        return text
    raise complaint(f"{text!r} is no path of an export", "write an absolute path of letters, digits and . _ -")


_size = matching(re.compile("[1-9][0-9]{0,8}(Mi|Gi|Ti)"), "is no size of a volume", "write it like 10Gi")
_option = matching(
    re.compile(r"[a-z0-9_]+(=[A-Za-z0-9.:_-]+)?"), "is no mount option", "write one for each entry, like nfsvers=4.1"
)

ObjectName = Annotated[str, AfterValidator(_object_name)]
VolumeSize = Annotated[str, AfterValidator(_size)]
NfsPath = Annotated[str, AfterValidator(_export)]
MountOption = Annotated[str, AfterValidator(_option)]


class NfsVolume(Section):
    """A folder that an NFS server exports to the nodes."""

    server: Endpoint = Field(
        examples=["nas.example.net"],
        description="Name or address of the server; nodes ask their own DNS, not the cluster's.",
    )
    path: NfsPath = Field(examples=["/backup"], description="Exported folder.")
    mount_options: list[MountOption] = Field([], description="Mount options, like nfsvers=4.1.")


class ClaimSpec(Section):
    """A claim for a volume: a new one, or one that is there."""

    size: VolumeSize = Field("10Gi", description="Size, in Mi, Gi or Ti.")
    access_modes: list[AccessMode] = Field(["ReadWriteOnce"], min_length=1, description="How nodes may mount it.")
    storage_class_name: ObjectName | None = Field(
        None, description="Class that makes the volume; the cluster's default class unless said."
    )
    existing_claim: ObjectName | None = Field(None, description="A claim of yours in the addon's namespace.")


class StorageSpec(ClaimSpec):
    """A claim for a volume, which may also be a folder of an NFS server."""

    nfs: NfsVolume | None = Field(None, description="A folder of an NFS server, as a volume that nobody has to make.")


def check_claim(cluster: Cluster, findings: Findings, path: Path, claim: ClaimSpec) -> None:
    """Check that a claim names one way to its volume, and warn where nothing will bind it."""
    nfs = claim.nfs if isinstance(claim, StorageSpec) else None
    ways = {
        "storageClassName": claim.storage_class_name, "existingClaim": claim.existing_claim, "nfs": nfs,
    }  # fmt: skip
    named = [key for key, value in ways.items() if value is not None]
    if len(named) > 1:
        findings.fault(path, f"{' and '.join(named)} are different volumes", "name one of them")
        return
    if len(set(claim.access_modes)) < len(claim.access_modes):
        findings.fault((*path, "accessModes"), "an access mode stands there twice", "name each once")
    if claim.access_modes == ["ReadOnlyMany"]:
        findings.fault((*path, "accessModes"), "nothing could be written there", "add a mode that writes")
    if nfs is not None:
        check_server(cluster, findings, (*path, "nfs"), nfs)
        _check_packages(cluster, findings, (*path, "nfs"))
    elif claim.existing_claim is None:
        _check_class(cluster, findings, path, claim)


def is_local(cluster: Cluster, claim: ClaimSpec) -> bool:
    """Return whether the local path provisioner makes the volume, on the disk of one node."""
    local, name = cluster.addons.local_path, claim.storage_class_name
    ours = name == CLASS_NAME or (name is None and local.default_class)
    return local.enabled and claim.existing_claim is None and ours


def _check_class(cluster: Cluster, findings: Findings, path: Path, claim: ClaimSpec) -> None:
    name = claim.storage_class_name
    if is_local(cluster, claim):
        many = [mode for mode in claim.access_modes if mode != "ReadWriteOnce"]
        if many:
            what = f"the class {CLASS_NAME} makes volumes on the disk of one node, which cannot be {', '.join(many)}"
            findings.fault((*path, "accessModes"), what, "use ReadWriteOnce, or another storageClassName, or nfs")
    elif name is None or name == CLASS_NAME:
        what = f"nothing will bind this claim: there is no {'default class' if name is None else f'class {name}'}"
        todo = "set addons.localPath.enabled, name the storageClassName of a provisioner of yours, existingClaim or nfs"
        findings.warn(path, what, f"{todo}; leave it where you make such a class yourself")


def check_server(cluster: Cluster, findings: Findings, path: Path, nfs: NfsVolume) -> None:
    """Warn where the server is one of those that it is to outlive."""
    if any(nfs.server in host.addresses or nfs.server == host.name for host in cluster.hosts):
        what, todo = f"{nfs.server} is a host of this cluster", "take a server that stands when the host does not"
        findings.warn((*path, "server"), what, todo)


def _check_packages(cluster: Cluster, findings: Findings, path: Path) -> None:
    for family, package in NFS_PACKAGES.items():
        without = {
            host.pool.name
            for host in cluster.nodes
            if host.pool.os_family == family and package not in host.system.packages.extra
        }
        if without:
            findings.warn(
                path,
                f"nodes mount NFS with {package}, which pool {', '.join(sorted(without))} does not name",
                f"add {package} to system.packages.extra, unless the hosts have it",
            )
