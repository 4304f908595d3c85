"""The way out for containerd, as a drop-in of its unit; the package manager's is in `package_manager`."""

from __future__ import annotations

from collections.abc import Iterator

from generator.components.host_setting import HostSetting
from generator.components.items import HostFile, HostItem
from generator.components.view import View
from generator.formats.units import unit_text
from generator.spec.layout import SYSTEMD_DIR
from generator.spec.sections_system import System

NAME = "proxy"
PHASE = "runtime"
DROP_IN = f"{SYSTEMD_DIR}/containerd.service.d/50-slipway-proxy.conf"


def _used(system: System) -> bool:
    return bool(system.proxy)


def _everywhere(view: View) -> Iterator[HostItem]:
    proxy, network = view.system.proxy, view.cluster.network
    own = ("127.0.0.1", "localhost", ".svc", f".{network.domain}", *network.pod_cidrs, *network.service_cidrs)
    values = {
        "HTTP_PROXY": proxy.http,
        "HTTPS_PROXY": proxy.https,
        "NO_PROXY": ",".join(dict.fromkeys((*own, *proxy.no_proxy))),
    }
    environment = [f'"{name}={value}"' for name, value in values.items() if value]
    text = unit_text({"Service": {"Environment": environment}})
    yield HostFile(DROP_IN, text, NAME, PHASE, restarts=("containerd.service",))


COMPONENT = HostSetting(NAME, _used, everywhere=_everywhere, roles=frozenset({"control-plane", "worker"}))
