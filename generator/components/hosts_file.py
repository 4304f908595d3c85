"""A block of ours in /etc/hosts: records of the spec and, on request, every host of the cluster.

The file stays the host's own: a unit of ours puts the lines of /etc/slipway/hosts between two marks, and takes them out
when they leave the spec. One of a thousand hosts more is one line more in one shared file.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from generator.components.host_setting import HostSetting
from generator.components.items import HostFile, HostItem
from generator.components.oneshot import effects, oneshot
from generator.components.view import View
from generator.spec.layout import ENV_DIR
from generator.spec.model import Cluster
from generator.spec.sections_system import HostsFile, System

NAME = "hosts-file"
PHASE = "host-base"
UNIT = "slipway-hosts-file"
FRAGMENT = f"{ENV_DIR}/hosts"
HOSTS = "/etc/hosts"

# Where an image says manage_etc_hosts, cloud-init writes the whole file anew at every boot, in its network stage, whose
# unit is cloud-init-network.service from 24.3 on. Our lines come after it, or they would be gone until the next apply.
_AFTER = "local-fs.target cloud-init.service cloud-init-network.service"


def _used(system: System) -> bool:
    return bool(system.hosts_file)


def _everywhere(view: View) -> Iterator[HostItem]:
    _, reloads = effects(UNIT, "reload")
    yield HostFile(FRAGMENT, _lines(view.cluster, view.system.hosts_file), NAME, PHASE, reloads=reloads)
    yield from oneshot(
        UNIT,
        component=NAME,
        phase=PHASE,
        script="text-block.sh",
        start=f"put {HOSTS} {FRAGMENT}",
        stop=f"take-out {HOSTS}",
        # A restart would take the names away in between.
        again="reload",
        description="Slipway's lines in /etc/hosts",
        unit={"After": _AFTER, "Before": "network-online.target"},
        # To hand the new file to the owner of the old one.
        capabilities="CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE",
        writable=("/etc",),
    )


def _lines(cluster: Cluster, hosts_file: HostsFile) -> str:
    names: dict[str, list[str]] = {}
    if hosts_file.all_hosts:
        for host in cluster.hosts:
            for address in host.addresses:
                names.setdefault(address, []).append(host.name)
    for address, more in hosts_file.records.items():
        for name in more:
            if name not in names.setdefault(address, []):
                names[address].append(name)
    ordered = sorted(names, key=lambda text: (ipaddress.ip_address(text).version, int(ipaddress.ip_address(text))))
    return "".join(f"{address} {' '.join(names[address])}\n" for address in ordered)


COMPONENT = HostSetting(NAME, _used, everywhere=_everywhere)
