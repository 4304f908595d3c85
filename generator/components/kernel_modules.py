"""Further kernel modules, and options of modules (modules-load.d(5), modprobe.d(5)).

An option holds from the next time that its module is loaded: at the next boot for one that is in use.
"""

from __future__ import annotations

from collections.abc import Iterator

from generator.components.host_setting import HostSetting
from generator.components.items import HostFile, HostItem
from generator.components.oneshot import oneshot
from generator.components.view import View
from generator.spec.sections_system import System

NAME = "kernel-modules"
PHASE = "host-base"
MODULES = "/etc/modules-load.d/slipway-more.conf"
OPTIONS = "/etc/modprobe.d/slipway.conf"
UNIT = "slipway-kernel-modules"


def _used(system: System) -> bool:
    return bool(system.modules or system.module_options)


def _everywhere(view: View) -> Iterator[HostItem]:
    system = view.system
    if system.module_options:
        lines = [f"options {module} {words}\n" for module, words in system.module_options.items()]
        yield HostFile(OPTIONS, "".join(lines), NAME, PHASE)
    if not system.modules:
        return
    # systemd loads them at every boot; a unit of ours loads them on the day that they come, since that of systemd is
    # not run again on a host where it had nothing to load at boot.
    restarts = (f"{UNIT}.service",)
    yield HostFile(MODULES, "".join(f"{module}\n" for module in system.modules), NAME, PHASE, restarts=restarts)
    yield from oneshot(
        UNIT,
        component=NAME,
        phase=PHASE,
        script="kernel-modules.sh",
        start=MODULES,
        description="Kernel modules of the spec",
        capabilities="CAP_SYS_MODULE",
        # Loading modules is its work.
        without=("ProtectKernelModules", "ProtectKernelTunables", "SystemCallFilter", "SystemCallErrorNumber"),
    )


COMPONENT = HostSetting(NAME, _used, everywhere=_everywhere)
