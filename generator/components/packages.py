"""Packages of the distribution: what nodes are glad of, in one table, what the spec names, and another kernel.

What components call by name (conntrack, socat, iptables, nginx, …) they ask for themselves, whatever stands here.
Slipway turns nothing on that a package brings: whoever needs iscsid starts it, as the docs of his storage say. A kernel
is installed beside the one that runs; only `invoke hosts.reboot` changes to it (F39).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from generator.components.host_setting import HostSetting
from generator.components.items import HostItem, HostPackage
from generator.components.view import View
from generator.spec.sections_system import Packages, System

NAME = "packages"
PHASE = "host-base"

# Requirement F38. Names from packages.debian.org, packages.ubuntu.com, and the package lists of RHEL and openEuler; the
# last calls Red Hat's iscsi-initiator-utils open-iscsi.
_FAMILY: Mapping[str, tuple[str, ...]] = {
    "debian": ("bash-completion", "ca-certificates", "nfs-common", "open-iscsi"),
    "redhat": ("bash-completion", "ca-certificates", "iscsi-initiator-utils", "nfs-utils"),
}
_SYSTEM: Mapping[str, Mapping[str, str]] = {
    "openeuler": {"iscsi-initiator-utils": "open-iscsi"},
}
_IPVS = ("ipset", "ipvsadm")


def base(os: str, family: str, proxy_mode: str) -> tuple[str, ...]:
    """Return the base packages of a node by its os, such as "openeuler-24.03", and kube-proxy's mode, sorted."""
    renamed = _SYSTEM.get(os.split("-")[0], {})
    names = {renamed.get(name, name) for name in _FAMILY[family]}
    return tuple(sorted(names | set(_IPVS if proxy_mode == "ipvs" else ())))


def _used(system: System) -> bool:
    return system.packages != Packages() or bool(system.kernel.packages)


def _of_pool(view: View) -> Iterator[HostItem]:
    assert view.pool is not None
    packages = view.system.packages
    names = {*packages.extra, *view.system.kernel.packages}
    if packages.base and view.pool.is_node:
        names |= set(base(view.pool.os, view.pool.os_family, view.cluster.network.proxy_mode))
    for name in sorted(names):
        yield HostPackage(name, NAME)


COMPONENT = HostSetting(NAME, _used, of_pool=_of_pool)
