"""What each kind of place takes as cloud-init user-data: how much of it, counted how, and whether it must be text.

The limits are those that the makers publish; `source` says where. A place that is not listed here is served by the
smallest that is like it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

TargetName = Literal["nocloud", "aws", "azure", "digitalocean", "gcp", "hetzner", "openstack", "vsphere", "none"]


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of place.

    `limit` is in bytes, 0 where there is none; with `encoded` it counts the base64 text of user-data. `binary` says
    that it takes bytes that are no text, so that user-data may be compressed as a whole.
    """

    name: str
    limit: int
    encoded: bool
    binary: bool
    source: str

    def counted(self, size: int) -> int:
        """Return what so many bytes of user-data count there."""
        return (size + 2) // 3 * 4 if self.encoded else size

    def takes(self, size: int) -> bool:
        """Return whether so many bytes fit."""
        return not self.limit or self.counted(size) <= self.limit


TARGETS: Mapping[str, Target] = {
    one.name: one
    for one in (
        Target("nocloud", 0, False, True, "cloud-init, datasource NoCloud: a file, of any size"),
        Target(
            "aws", 16384, False, True,
            "docs.aws.amazon.com/AWSEC2, instance user data: 16 KB, in raw form, before it is base64-encoded",
        ),
        Target(
            "azure", 65535, False, True,
            "learn.microsoft.com, OSProfile.customData: a binary array of at most 65535 bytes",
        ),
        Target(
            "digitalocean", 65536, False, False,
            "docs.digitalocean.com/reference/api, user_data: plain text, at most 64 KiB",
        ),
        Target(
            "gcp", 262144, False, False,
            "cloud.google.com/compute, API v1, metadata items: a value is a string of at most 262144 bytes",
        ),
        Target(
            "hetzner", 32768, False, False,
            "docs.hetzner.cloud, create a server, user_data: text, limited to 32 KiB",
        ),
        Target(
            "openstack", 65535, True, True,
            "docs.openstack.org/nova, user data: must be base64 encoded and is restricted to 65535 bytes",
        ),
        Target(
            "vsphere", 65536, True, True,
            "guestinfo.userdata (encoding gzip+base64): GUESTMSG_MAX_IN_SIZE of open-vm-tools, vm-operator issue 148",
        ),
    )
}  # fmt: skip
"""By name; `none` is no place: it leaves user-data out of the tree."""
