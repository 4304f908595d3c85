"""The section of cluster.yaml about disks that Slipway prepares and mounts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from generator.spec.scalars import AbsolutePath, StableDevice
from generator.spec.schema_base import Section
from generator.spec.sections import Held


class DiskSpec(Section):
    """A disk for data. It gets a file system only while it is empty, and is never unmounted or wiped."""

    device: StableDevice = Field(
        description="The disk or partition by a name that stays: below /dev/disk/by-id, by-path or by-partuuid."
    )
    file_system: Literal["xfs", "ext4"] = Field("xfs", description="What it is formatted with while it is empty.")
    mount: AbsolutePath = Field(description="Where it is mounted, such as /data.")
    holds: list[Held] = Field(
        [], description="Which of our folders lie on it, each as a bind mount: etcd, etcd-wal, kubelet, ..."
    )
