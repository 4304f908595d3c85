"""The lab's network: one bridge in a namespace of its own, one namespace for each host.

No address of the lab exists outside these namespaces, so nothing that runs in the lab reaches,
or is reached from, the machine's own network. The tool under test runs in the namespace of the
bridge (see `entering`), where the hosts are neighbours of one link.
"""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from lab.command import run, succeeds

NAMESPACE = "lab"
NETWORK = IPv4Network("10.83.0.0/24")
GATEWAY = NETWORK[1]
"""The bridge's own address: where the tool under test sits, and the hosts' default route.

The route leads nowhere beyond, but without one the kernel refuses a packet to a service address
before kube-proxy's rules can rewrite it.
"""

_ANSWERS_AT_ONCE = ("net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0")
"""Settings of the lab's namespace by which it says "unreachable" at once and every time.

It forwards, though it has nothing to forward to, and does not ration its answers. Otherwise a
kubelet of 1.20, which asks for cloud metadata when it starts, and every look-up of a name wait
for seconds where nobody answers.
"""

_FIRST_HOST = 11
_BRIDGE = "lab0"


def host_address(index: int) -> IPv4Address:
    """Return the address of the host with this index, counted from 0."""
    return NETWORK[_FIRST_HOST + index]


def host_namespace(name: str) -> str:
    """Return the network namespace of a host."""
    return f"{NAMESPACE}-{name}"


def namespace_path(namespace: str) -> Path:
    """Return the file that holds a network namespace open."""
    return Path("/run/netns") / namespace


def entering(namespace: str) -> list[str]:
    """Return the words that, put before a command, run it in a network namespace."""
    return ["nsenter", f"--net={namespace_path(namespace)}", "--"]


def create() -> None:
    """Make the lab's namespace with its bridge, unless it is there."""
    if _is_there(NAMESPACE):
        return
    run(["ip", "netns", "add", NAMESPACE])
    ip = ["ip", "-n", NAMESPACE]
    run([*ip, "link", "set", "lo", "up"])
    run([*ip, "link", "add", _BRIDGE, "type", "bridge"])
    run([*ip, "addr", "add", f"{GATEWAY}/{NETWORK.prefixlen}", "dev", _BRIDGE])
    run([*ip, "link", "set", _BRIDGE, "up"])
    run([*entering(NAMESPACE), "sysctl", "-q", "-w", *_ANSWERS_AT_ONCE])


def delete() -> None:
    """Remove the lab's namespace, and with it the bridge."""
    if _is_there(NAMESPACE):
        run(["ip", "netns", "del", NAMESPACE])


def attach(name: str, address: IPv4Address) -> None:
    """Make a host's namespace and plug it into the bridge as `eth0`."""
    detach(name)
    namespace = host_namespace(name)
    port = f"host{int(address) - int(NETWORK.network_address)}"
    bridge, host = ["ip", "-n", NAMESPACE], ["ip", "-n", namespace]
    if succeeds([*bridge, "link", "show", port]):
        run([*bridge, "link", "del", port])
    run(["ip", "netns", "add", namespace])
    run([*bridge, *f"link add {port} type veth peer name eth0 netns {namespace}".split()])
    run([*bridge, "link", "set", port, "master", _BRIDGE, "up"])
    run([*host, "link", "set", "lo", "up"])
    run([*host, "addr", "add", f"{address}/{NETWORK.prefixlen}", "dev", "eth0"])
    run([*host, "link", "set", "eth0", "up"])
    run([*host, "route", "add", "default", "via", str(GATEWAY)])


def detach(name: str) -> None:
    """Remove a host's namespace; its cable goes with it."""
    if _is_there(host_namespace(name)):
        run(["ip", "netns", "del", host_namespace(name)])


def _is_there(namespace: str) -> bool:
    """Return whether a namespace exists; the empty file that one left behind is removed.

    A namespace is a mount on its file. Where /run is no tmpfs the file outlives a restart.
    """
    path = namespace_path(namespace)
    if not path.exists():
        return False
    if path.stat().st_dev == path.parent.stat().st_dev:
        path.unlink()
        return False
    return True
