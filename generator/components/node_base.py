"""What a host needs before it can be a node: kernel modules and settings for pods, and tools that the node calls.

Hosts that are no nodes (etcd or load-balancer alone) have none of it: nothing is forwarded there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from generator.components.items import HostFile, HostItem, HostPackage
from generator.components.settings import Settings, resolved
from generator.components.sysctl import SYSCTL_UNIT, Sysctl, sysctl_text
from generator.components.view import View
from generator.formats.units import unit_text
from generator.spec.layout import SYSTEMD_DIR
from generator.spec.model import Cluster, Pool

NAME = "node-base"
PHASE = "host-base"
# Before 90-slipway.conf, in which the spec's own values stand, so those win.
SYSCTL = "/etc/sysctl.d/89-slipway-node.conf"
MODULES = "/etc/modules-load.d/slipway.conf"
MODULES_UNIT = "systemd-modules-load.service"

_KUBELET = "The kubelet demands it (protectKernelDefaults)."
_BRIDGED = "Packets between pods of one node must meet the rules for Services."
_INOTIFY = "Every container of one user counts against the same number."
_FORWARD = "A node passes on the packets of its pods."
_DEFAULTS = (
    Sysctl("fs.inotify.max_user_instances", "8192", _INOTIFY),
    Sysctl("fs.inotify.max_user_watches", "524288", _INOTIFY),
    Sysctl("kernel.keys.root_maxbytes", "25000000", _KUBELET),
    Sysctl("kernel.keys.root_maxkeys", "1000000", _KUBELET),
    Sysctl("kernel.panic", "10", _KUBELET),
    Sysctl("kernel.panic_on_oops", "1", _KUBELET),
    Sysctl("vm.overcommit_memory", "1", _KUBELET),
    Sysctl("vm.panic_on_oom", "0", _KUBELET),
    Sysctl("net.bridge.bridge-nf-call-ip6tables", "1", _BRIDGED),
    Sysctl("net.bridge.bridge-nf-call-iptables", "1", _BRIDGED),
    # Of all and the interface's own the greater number holds; Calico refuses to start with 2.
    Sysctl("net.ipv4.conf.all.rp_filter", "0", "Replies may take another way than requests did."),
    Sysctl("net.ipv4.conf.default.rp_filter", "0", "The same for interfaces to come, those of pods among them."),
    Sysctl("net.ipv4.ip_forward", "1", _FORWARD),
    Sysctl("vm.max_map_count", "262144", "Databases in pods map more files than the kernel allows by itself."),
)
_IPV6 = Sysctl("net.ipv6.conf.all.forwarding", "1", _FORWARD)

_REDHAT_BEFORE_9 = frozenset({"rhel-8", "rocky-8", "alma-8"})


@dataclass(frozen=True, slots=True)
class NodeBase:
    """Kernel modules, kernel settings and packages of a node."""

    name: str = NAME

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool are nodes."""
        return pool.is_node

    def settings(self, view: View) -> Settings:
        """Return what the spec says; kernel settings are the field `sysctl` of a cluster."""
        return resolved(view.overrides(NAME))

    def shared(self, view: View) -> Iterator[HostItem]:
        """Yield modules and kernel settings; the modules first, since some settings exist only with them."""
        cluster = view.cluster
        # The two units restart in the order of their names, as they do at boot.
        yield HostFile(MODULES, _modules(cluster), NAME, PHASE, restarts=(MODULES_UNIT, SYSCTL_UNIT))
        yield HostFile(f"{SYSTEMD_DIR}/{MODULES_UNIT}.d/slipway.conf", _tolerance(), NAME, PHASE)
        yield HostFile(SYSCTL, _sysctl(cluster), NAME, PHASE, restarts=(SYSCTL_UNIT,))

    def pool(self, view: View) -> Iterator[HostItem]:
        """Yield the packages by the pool's os."""
        assert view.pool is not None
        for package in _packages(view.cluster, view.pool):
            yield HostPackage(package, NAME)

    def host(self, view: View) -> Iterable[HostItem]:
        """Yield nothing: no host differs."""
        return ()


def _sysctl(cluster: Cluster) -> str:
    low, high = cluster.network.node_port_range
    reserved = Sysctl(
        "net.ipv4.ip_local_reserved_ports", f"{low}-{high}", "No outgoing connection may take the port of a Service."
    )
    ipv6 = (_IPV6,) if any(":" in cidr for cidr in cluster.network.pod_cidrs) else ()
    # What the spec sets stands in 90-slipway.conf, which comes later and wins; only what it leaves alone leaves here.
    left_alone = {key for key, value in cluster.sysctl.items() if value is None}
    return sysctl_text((*_DEFAULTS, *ipv6, reserved), {}, without=left_alone)


def _modules(cluster: Cluster) -> str:
    """Return modules-load.d(5): what settings and container runtime need before anything asks for it."""
    modules = {"overlay", "br_netfilter", "nf_conntrack"}
    if cluster.network.proxy_mode == "ipvs":
        modules |= {"ip_vs", "ip_vs_rr", "ip_vs_sh", "ip_vs_wrr"}
    return "".join(f"{module}\n" for module in sorted(modules))


def _tolerance() -> str:
    """Return a drop-in that lets a module be missing, as one is that was built into a kernel without module files.

    What was not found is still in the unit's journal, and systemd-sysctl names the settings that do not exist.
    """
    return unit_text(
        {"Service": {"SuccessExitStatus": 1}},
        comment="A module that is built into the kernel may have no file; its absence must not fail the host.",
    )


def _packages(cluster: Cluster, pool: Pool) -> list[str]:
    """Return what kubelet, kube-proxy and containerd call by name: iptables, conntrack, and socat for port-forward."""
    if pool.os_family == "debian":
        names = {"conntrack", "iptables", "kmod", "socat"}
    else:
        named_iptables = pool.os in _REDHAT_BEFORE_9 or pool.os.startswith("openeuler-")
        names = {"conntrack-tools", "iptables" if named_iptables else "iptables-nft", "kmod", "socat"}
    if cluster.network.proxy_mode == "ipvs":
        names.add("ipset")
    if cluster.network.proxy_mode == "nftables":
        names.add("nftables")
    return sorted(names)


COMPONENT = NodeBase()
