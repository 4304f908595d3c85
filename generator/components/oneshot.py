"""Work on a host that is done once: a unit of ours that runs a script of ours, at boot and when its inputs change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

from generator.components.items import HostFile, HostItem, HostUnit
from generator.formats.sandbox import sandbox
from generator.formats.units import unit_text
from generator.spec.layout import SYSTEMD_DIR

SCRIPTS = "/usr/local/lib/slipway"


def oneshot(
    name: str,
    *,
    component: str,
    phase: str,
    script: str,
    description: str,
    start: str = "",
    stop: str = "",
    again: str = "restart",
    unit: dict[str, Any] | None = None,
    service: dict[str, Any] | None = None,
    capabilities: str = "",
    writable: Sequence[str] = (),
    without: Sequence[str] = (),
) -> Iterator[HostItem]:
    """Yield script, unit file and unit.

    `name` is that of the unit, without .service, and of the script on the host; `script` the file beside this module,
    `start` and `stop` its arguments. `again` says how it is run anew: by a restart, or by a reload, which does not
    undo the work in between. `without` names keys of the sandbox that the work does not bear.
    """
    path = f"{SCRIPTS}/{name}"
    restarts, reloads = effects(name, again)
    command = f"/bin/sh {path}"
    # None of this work needs a network; systemctl talks through a socket.
    keys = {**sandbox(writable=writable), "RestrictAddressFamilies": "AF_UNIX"}
    locked = {key: value for key, value in keys.items() if key not in without}
    # What is undone when the unit stops is not undone at every shutdown, to be missing while the host boots.
    stays = {"DefaultDependencies": False, "After": "local-fs.target"} if stop else {}
    sections = {
        "Unit": {"Description": description, **stays, **(unit or {})},
        "Service": {
            "Type": "oneshot",
            "RemainAfterExit": True,
            "WorkingDirectory": "/",
            **(service or {}),
            "ExecStart": f"{command} {start}".rstrip(),
            **({"ExecReload": f"{command} {start}".rstrip()} if again == "reload" else {}),
            **({"ExecStop": f"{command} {stop}"} if stop else {}),
            **locked,
            "CapabilityBoundingSet": capabilities,
        },
        "Install": {"WantedBy": "multi-user.target"},
    }
    yield HostFile(path, script_text(script), component, phase, mode=0o755, restarts=restarts, reloads=reloads)
    yield HostFile(
        f"{SYSTEMD_DIR}/{name}.service", unit_text(sections), component, phase, restarts=restarts, reloads=reloads
    )
    yield HostUnit(f"{name}.service", component, phase)


def effects(name: str, again: str = "restart") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return `restarts` and `reloads` of a file that such a unit reads."""
    units = (f"{name}.service",)
    return (units, ()) if again == "restart" else ((), units)


def script_text(name: str) -> str:
    """Return a script that lies beside this module, such as "swap-off.sh"."""
    return (resources.files("generator.components") / name).read_text(encoding="utf-8")
