"""What the rendered tree wants of a host before anything of ours is there: programs, room, modules, ways out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import yaml

from fleet.question import PROGRAMS
from fleet.tree import Host, RenderedTree

MODULES = ("overlay", "br_netfilter", "nf_conntrack")
"""What the kernel of every node must have: containerd's snapshots, pods behind Services, kube-proxy."""
TIME_SERVICES = (
    "chronyd.service", "chrony.service", "systemd-timesyncd.service", "ntpd.service", "ntp.service", "ntpsec.service",
    "openntpd.service",
)  # fmt: skip
FIREWALLS = ("firewalld.service", "ufw.service", "nftables.service", "iptables.service")
"""Units by which distributions load rules of their own."""
FIREWALL_OFF = "slipway-firewall-off.service"
TURNED_OFF = frozenset(FIREWALLS) - {"iptables.service"}
"""Those that our unit of that name turns off."""
_GIB = 1024 * 1024
_ROOM: Mapping[str, tuple[int, int]] = {
    # etcd's quota is 2 GiB by default, and a defragmentation writes the data a second time.
    "etcd": (2 * _GIB, 8 * _GIB),
    "containerd": (5 * _GIB, 20 * _GIB),
    "kubelet": (1 * _GIB, 5 * _GIB),
}
_OPT = (1 * _GIB, 3 * _GIB)
_STATE = (_GIB // 4, _GIB)
_OTHERS = (
    # kubeadm
    "/etc/kubernetes/manifests/*.yaml", "/etc/kubernetes/admin.conf", "/etc/kubernetes/kubelet.conf",
    "/var/lib/kubelet/kubeadm-flags.env", "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
    "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
    # units of a distribution's packages or of another installer
    "/etc/systemd/system/kubelet.service", "/etc/systemd/system/kube-proxy.service",
    "/etc/systemd/system/kube-apiserver.service", "/usr/lib/systemd/system/kubelet.service",
    # k3s, RKE2, k0s, MicroK8s
    "/etc/systemd/system/k3s*.service", "/usr/local/bin/k3s", "/etc/rancher/k3s", "/var/lib/rancher/k3s",
    "/etc/systemd/system/rke2*.service", "/var/lib/rancher/rke2", "/var/lib/k0s", "/var/snap/microk8s",
)  # fmt: skip
CNI = "/etc/cni/net.d/"
HOSTS = "/etc/slipway/hosts"
"""Lines that a unit of ours puts into /etc/hosts."""
PACKAGE_MANAGER = "package-manager"
_SOURCES = re.compile(r"^(?:URIs: |baseurl=)(.+)$", re.MULTILINE)
_PROXY = re.compile(r"^(?:Acquire::https?::Proxy |proxy=(?!_none_))", re.MULTILINE)
_WHERE = re.compile(r"^Where=(.+)$", re.MULTILINE)
_SERVER = re.compile(r"^\s*server: (\S+)$", re.MULTILINE)
GPU = "gpu"
"""The component that hosts with GPUs have."""
GPU_TOOLKIT = "nvidia-container-toolkit"


def programs(tree: RenderedTree, host: Host) -> tuple[str, ...]:
    """Return the programs that the host must have before the first apply."""
    names = list(PROGRAMS)
    if "control-plane" in host.pool.roles:
        # The csr-approver reads requests for certificates with it.
        names.append("openssl")
    if tree.fetch == "host":
        names += ["curl", "wget"]
    return tuple(names)


def room(host: Host) -> dict[str, tuple[int, int]]:
    """Return the folders that will grow, each with the KiB without which it does not work, and those for good use."""
    found = {"/opt": _OPT} if any(item.kind == "binary" for item in host.items) else {}
    found["/var/lib/slipway"] = _STATE
    for item in host.items:
        if item.kind == "directory" and item.component in _ROOM and not item.path.startswith(("/etc/", "/opt/")):
            found[item.path] = _ROOM[item.component]
    return found


def mounts(host: Host) -> tuple[PurePosixPath, ...]:
    """Return where units of ours mount something on the host: its data disks and the folders on them."""
    found = (
        _WHERE.search(item.content.decode())
        for item in host.items
        if item.kind == "file" and item.path.endswith(".mount")
    )
    return tuple(PurePosixPath(one[1]) for one in found if one)


def modules(host: Host) -> tuple[str, ...]:
    """Return the kernel modules without which the host cannot be a node."""
    return MODULES if host.node else ()


def gpus(host: Host) -> tuple[str, ...]:
    """Return the vendors of the GPUs that the host is to have."""
    return ("nvidia",) if any(item.component == GPU for item in host.items) else ()


def gpu_driver_packages(host: Host) -> tuple[str, ...]:
    """Return the packages that are to bring the driver of its GPUs, none where it comes some other way."""
    packages = (item.name for item in host.items if item.component == GPU and item.kind == "package")
    return tuple(name for name in packages if name != GPU_TOOLKIT)


def etcd_data(tree: RenderedTree, host: Host) -> str:
    """Return where the host's etcd member keeps its data, "" where it has none."""
    phase = tree.etcd_phase
    return phase.formation["data"] if phase is not None and phase.roles & host.pool.roles else ""


def remains(tree: RenderedTree, host: Host) -> tuple[str, ...]:
    """Return the patterns of what other installations of Kubernetes leave behind."""
    data = etcd_data(tree, host)
    return (*_OTHERS, f"{CNI}*", *([f"{data}/member"] if data else []))


def urls(tree: RenderedTree, host: Host) -> tuple[str, ...]:
    """Return one address for each server from which the host itself fetches its binaries; none where we bring them."""
    if tree.fetch != "host":
        return ()
    found: dict[tuple[str, str], str] = {}
    for item in host.items:
        artifact = tree.artifacts.get((item.artifact, item.version, item.arch)) if item.kind == "binary" else None
        if artifact is not None and artifact.url:
            parts = urlsplit(artifact.url)
            found.setdefault((parts.scheme, parts.netloc), artifact.url)
    return tuple(sorted(found.values()))


def names(host: Host) -> tuple[str, ...]:
    """Return the names by which the host's own programs enter the API; none that our lines in /etc/hosts will hold."""
    files = [item for item in host.items if item.kind == "file"]
    ours = {name for item in files if item.path == HOSTS for name in item.content.decode().split()}
    found = {
        urlsplit(server).hostname or ""
        for item in files
        if item.path.endswith(".kubeconfig")
        for server in _SERVER.findall(item.content.decode())
    }
    return tuple(sorted(name for name in found - ours if name != "localhost" and not _is_address(name)))


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def sources(host: Host) -> tuple[str, ...]:
    """Return one address for each server of packages that the spec names; none where a proxy stands between."""
    texts = [item.content.decode() for item in host.items if item.kind == "file" and item.component == PACKAGE_MANAGER]
    if any(_PROXY.search(text) for text in texts):
        return ()
    found = set()
    for text in texts:
        for line in _SOURCES.findall(text):
            for url in map(urlsplit, line.split()):
                if url.scheme in {"http", "https"}:
                    # Paths hold variables that only the package manager knows.
                    found.add(f"{url.scheme}://{url.netloc}/")
    return tuple(sorted(found))


def kubelet_config(host: Host) -> Mapping[str, Any]:
    """Return the kubelet's configuration on a host, empty where there is none."""
    for item in host.items:
        if item.kind == "file" and b"kind: KubeletConfiguration" in item.content:
            return _mapping(item.content)
    return {}


@lru_cache(maxsize=64)
def _mapping(text: bytes) -> Mapping[str, Any]:
    document = yaml.safe_load(text)
    return document if isinstance(document, dict) else {}


def handles(host: Host, word: str) -> bool:
    """Return whether a unit that we put on the host has a word in its name: then an apply sees to "swap"."""
    return any(word in unit.name for unit in host.units())
