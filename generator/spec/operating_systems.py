"""Distributions and releases: which are supported, which have ended, and what their kernels can do.

Facts from the release notes of the distributions: kernel of the release, default cgroup hierarchy, version of nft.
Ended releases are those whose free support is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OperatingSystem:
    """One release. `nftables` says whether kube-proxy's nftables mode works (kernel 5.13 and nft 1.0.1 or later)."""

    cgroup_v2: bool
    nftables: bool


SUPPORTED: Mapping[str, OperatingSystem] = {
    "debian-11": OperatingSystem(cgroup_v2=True, nftables=False),
    "debian-12": OperatingSystem(cgroup_v2=True, nftables=True),
    "debian-13": OperatingSystem(cgroup_v2=True, nftables=True),
    "ubuntu-20.04": OperatingSystem(cgroup_v2=False, nftables=False),
    "ubuntu-22.04": OperatingSystem(cgroup_v2=True, nftables=True),
    "ubuntu-24.04": OperatingSystem(cgroup_v2=True, nftables=True),
    "ubuntu-26.04": OperatingSystem(cgroup_v2=True, nftables=True),
    **{f"{name}-8": OperatingSystem(cgroup_v2=False, nftables=False) for name in ("rhel", "rocky", "alma")},
    **{f"{name}-9": OperatingSystem(cgroup_v2=True, nftables=True) for name in ("rhel", "rocky", "alma")},
    **{f"{name}-10": OperatingSystem(cgroup_v2=True, nftables=True) for name in ("rhel", "rocky", "alma")},
    "openeuler-22.03": OperatingSystem(cgroup_v2=False, nftables=False),
    "openeuler-24.03": OperatingSystem(cgroup_v2=True, nftables=True),
}

ENDED: Mapping[str, str] = {
    "centos-6": "reinstall with rocky-9 or alma-9",
    "centos-7": "reinstall with rocky-9 or alma-9",
    "centos-8": "migrate to rocky-8 or alma-8 in place, or reinstall with rocky-9",
    "rhel-7": "upgrade to rhel-8 with leapp, then to rhel-9",
    "debian-9": "upgrade to debian-10, 11 and 12, one after the other",
    "debian-10": "upgrade to debian-11, then to debian-12",
    "ubuntu-16.04": "upgrade to ubuntu-18.04, 20.04 and 22.04, one after the other",
    "ubuntu-18.04": "upgrade to ubuntu-20.04, then to ubuntu-22.04",
}
"""Releases that have ended, each with the way up."""
