"""The mode of SELinux on the Red Hat family and openEuler: enforcing or permissive, running and at boot.

Off is not offered: files that are made without it carry no label, so that the way back is a relabel of the whole disk,
and permissive gives all that off is used for. Slipway labels what it installs.
"""

from __future__ import annotations

from collections.abc import Iterator

from generator.components.host_setting import HostSetting
from generator.components.items import HostFile, HostItem, HostPackage
from generator.components.oneshot import oneshot
from generator.components.view import View
from generator.spec.layout import env_file
from generator.spec.sections_system import System

NAME = "selinux"
PHASE = "host-base"
UNIT = "slipway-selinux"


def _used(system: System) -> bool:
    return system.selinux != "keep"


def _of_pool(view: View) -> Iterator[HostItem]:
    assert view.pool is not None
    if view.pool.os_family != "redhat":
        return
    yield HostPackage("libselinux-utils", NAME)
    facts = f"SLIPWAY_SELINUX={view.system.selinux}\n"
    yield HostFile(env_file(NAME), facts, NAME, PHASE, restarts=(f"{UNIT}.service",))
    yield from oneshot(
        UNIT,
        component=NAME,
        phase=PHASE,
        script="selinux.sh",
        description="The mode of SELinux",
        service={"EnvironmentFile": env_file(NAME)},
        writable=("-/etc/selinux",),
        # The running mode is a file of the kernel.
        without=("ProtectKernelTunables",),
    )


COMPONENT = HostSetting(NAME, _used, of_pool=_of_pool)
