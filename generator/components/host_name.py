"""The host's own name, on disk and running, as the spec has it."""

from __future__ import annotations

from collections.abc import Iterator

from generator.components.host_setting import HostSetting
from generator.components.items import HostFile, HostItem
from generator.components.oneshot import effects, oneshot
from generator.components.view import View
from generator.spec.layout import env_file
from generator.spec.sections_system import System

NAME = "host-name"
PHASE = "host-base"
UNIT = "slipway-host-name"


def _used(system: System) -> bool:
    return system.host_name == "set"


def _everywhere(view: View) -> Iterator[HostItem]:
    """Yield the unit. It writes /etc/hostname, no file of ours: a host keeps its name when the spec lets go."""
    yield from oneshot(
        UNIT,
        component=NAME,
        phase=PHASE,
        script="host-name.sh",
        description="The host's name",
        service={"EnvironmentFile": env_file(NAME)},
        capabilities="CAP_SYS_ADMIN",
        writable=("/etc",),
        # It writes where the kernel keeps the name, which a namespace of its own would hide.
        without=("ProtectHostname", "ProtectKernelTunables"),
    )


def _of_host(view: View) -> Iterator[HostItem]:
    assert view.host is not None
    restarts, _ = effects(UNIT)
    yield HostFile(env_file(NAME), f"SLIPWAY_HOST_NAME={view.host.name}\n", NAME, PHASE, restarts=restarts)


COMPONENT = HostSetting(NAME, _used, everywhere=_everywhere, of_host=_of_host)
