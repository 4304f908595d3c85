"""The section of cluster.yaml about user-data for cloud-init: where it goes, and who may log in to such hosts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from generator.spec.clouds import TargetName
from generator.spec.scalars import PublicKey, UserName
from generator.spec.schema_base import Section


class LoginSpec(Section):
    """One who may log in."""

    name: UserName = Field(description="Name of the user; root may be one.")
    ssh_authorized_keys: list[PublicKey] = Field(
        min_length=1, alias="sshAuthorizedKeys", description="Public keys, each as one line of authorized_keys."
    )
    sudo: bool = Field(False, description="Whether the user may do everything through sudo, without a password.")
    groups: list[UserName] = Field([], description="Further groups of the user, such as systemd-journal.")


class CloudInitSpec(Section):
    """User-data for cloud-init; without this section there is none."""

    targets: list[TargetName] = Field(
        ["nocloud"],
        min_length=1,
        description="Where the hosts are made, for the limits of user-data; none alone leaves it out of the tree.",
    )
    users: list[LoginSpec] = Field(
        [], description="Who may log in, instead of the image's own user; with [] that one stays."
    )
    brings: Literal["all", "host-base"] = Field(
        "all",
        description="What user-data brings: all that is no secret, or only package-sources and host-base (smaller).",
    )


class PoolCloudInitSpec(Section):
    """What differs from the cluster's cloudInit section in one pool."""

    targets: list[TargetName] | None = Field(
        None, min_length=1, description="Where the pool's hosts are made: as the cluster says unless said here."
    )
    users: list[LoginSpec] | None = Field(None, description="Who may log in: as the cluster says unless said here.")
    brings: Literal["all", "host-base"] | None = Field(
        None, description="What user-data brings: as the cluster says unless said here."
    )
