"""The host's time zone, and a restart of what keeps an old one in memory."""

from __future__ import annotations

from collections.abc import Iterator

from generator.components.host_setting import HostSetting
from generator.components.items import HostFile, HostItem, HostPackage
from generator.components.oneshot import oneshot
from generator.components.view import View
from generator.spec.layout import env_file
from generator.spec.sections_system import System

NAME = "time-zone"
PHASE = "host-base"
UNIT = "slipway-time-zone"
# Each reads the zone once, at its start; a unit that the host does not run is passed over.
_KEEPERS = ("cron.service", "crond.service", "rsyslog.service")


def _used(system: System) -> bool:
    return system.time_zone != "keep"


def _everywhere(view: View) -> Iterator[HostItem]:
    """Yield the unit. It writes /etc/localtime, which is no link of ours: without one a host falls back to UTC."""
    yield HostPackage("tzdata", NAME)
    facts = f"SLIPWAY_TIME_ZONE={view.system.time_zone}\n"
    yield HostFile(env_file(NAME), facts, NAME, PHASE, restarts=(f"{UNIT}.service", *_KEEPERS))
    yield from oneshot(
        UNIT,
        component=NAME,
        phase=PHASE,
        script="time-zone.sh",
        description="The host's time zone",
        service={"EnvironmentFile": env_file(NAME)},
        writable=("/etc",),
    )


COMPONENT = HostSetting(NAME, _used, everywhere=_everywhere)
