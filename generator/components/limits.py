"""Limits of units and logins that state none of their own, as drop-ins (systemd-system.conf(5), limits.conf(5)).

Our own units state theirs and are not touched. What runs keeps its limits until it starts anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from generator.components.host_setting import HostSetting
from generator.components.items import HostFile, HostItem
from generator.components.view import View
from generator.formats.units import unit_text
from generator.spec.sections_system import Limits, System

NAME = "limits"
PHASE = "host-base"
UNITS = "/etc/systemd/system.conf.d/50-slipway-limits.conf"
LOGINS = "/etc/security/limits.d/50-slipway.conf"


def _used(system: System) -> bool:
    return system.limits != Limits()


def _everywhere(view: View) -> Iterator[HostItem]:
    limits = view.system.limits
    keys: dict[str, Any] = {}
    lines: list[str] = []
    for value, key, item in ((limits.files, "NOFILE", "nofile"), (limits.processes, "NPROC", "nproc")):
        if value is not None:
            keys[f"DefaultLimit{key}"] = value
            # The star does not stand for root (limits.conf(5)).
            lines += [f"* - {item} {value}", f"root - {item} {value}"]
    yield HostFile(UNITS, unit_text({"Manager": keys}), NAME, PHASE)
    yield HostFile(LOGINS, "\n".join(lines) + "\n", NAME, PHASE)


COMPONENT = HostSetting(NAME, _used, everywhere=_everywhere)
