"""How the journal is kept, as a drop-in: whether on disk, how much of it, how long (journald.conf(5))."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from generator.components.host_setting import HostSetting
from generator.components.items import HostFile, HostItem
from generator.components.view import View
from generator.formats.units import unit_text
from generator.spec.sections_system import Journald, System

NAME = "journald"
PHASE = "host-base"
DROP_IN = "/etc/systemd/journald.conf.d/50-slipway.conf"


def _used(system: System) -> bool:
    return system.journald != Journald()


def _everywhere(view: View) -> Iterator[HostItem]:
    journal = view.system.journald
    keys: dict[str, Any] = {}
    if journal.persistent is not None:
        keys["Storage"] = "persistent" if journal.persistent else "volatile"
    if journal.max_use:
        # One of the two holds, by where the journal is.
        keys["SystemMaxUse"] = keys["RuntimeMaxUse"] = journal.max_use
    if journal.max_file_age:
        keys["MaxRetentionSec"] = journal.max_file_age
    restarts = ("systemd-journald.service",)
    yield HostFile(DROP_IN, unit_text({"Journal": keys}), NAME, PHASE, restarts=restarts)


COMPONENT = HostSetting(NAME, _used, everywhere=_everywhere)
