"""Services that run as a system user of their own: the sandbox, and the text of the unit.

Every key below is read by systemd.exec(5) of systemd 239 or later; an older systemd passes over a key that it does
not know with one line in its journal. Defaults are ordinary layers: a spec may replace or remove each of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from generator.components.settings import Settings
from generator.formats.flags import flag_words
from generator.formats.sandbox import sandbox
from generator.formats.units import exec_line, unit_text
from generator.spec.layout import LINK_DIR

UnitSections = Mapping[str, Mapping[str, Any]]

# A systemd without CAP_SYS_RESOURCE takes the nearest value that the hard limit allows (setrlimit_closest).
OPEN_FILES = 65536


def daemon_unit(
    program: str,
    *,
    description: str,
    documentation: str,
    unit: Mapping[str, Any] | None = None,
    service: Mapping[str, Any],
    working_directory: str,
    after: Sequence[str] = (),
    mounts: Sequence[str] = (),
    writable: Sequence[str] = (),
    low_port: bool = False,
) -> UnitSections:
    """Return the unit of a long-running program that runs as the system user of its own name.

    `unit` and `service` are further keys of their sections; `mounts` are paths whose mount points must be there
    first. ExecStart holds the program alone; `daemon_text` puts the flags behind it.
    """
    needs = {"RequiresMountsFor": " ".join(mounts)} if mounts else {}
    return {
        "Unit": {
            "Description": description,
            "Documentation": documentation,
            "Wants": "network-online.target",
            "After": " ".join(["network-online.target", *after]),
            **needs,
            **(unit or {}),
            "StartLimitIntervalSec": 0,
        },
        "Service": {
            "User": program,
            "Group": program,
            "WorkingDirectory": working_directory,
            **service,
            "ExecStart": f"{LINK_DIR}/{program}",
            "Restart": "always",
            "RestartSec": 5,
            "LimitNOFILE": OPEN_FILES,
            **sandbox(writable=writable, low_port=low_port),
        },
        "Install": {"WantedBy": "multi-user.target"},
    }


def daemon_text(program: str, settings: Settings) -> str:
    """Return the text of a program's unit, its flags behind ExecStart, sorted, one per line."""
    command = exec_line(f"{LINK_DIR}/{program}", flag_words(settings.flags))
    return unit_text({**settings.unit, "Service": {**settings.unit["Service"], "ExecStart": command}})
