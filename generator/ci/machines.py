"""A project on virtual machines: its systemd unit, its environment file, and what its user may do as root there.

Below <directory> on a host: releases/<id>/ holds what was built and .slipway/ (unit, env, digest), `current` is a link
to the release that runs. The unit names `current` alone, so it stays the same from release to release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generator.ci.project import Project
from generator.errors import RefusedError
from generator.formats.sandbox import sandbox
from generator.formats.units import unit_text

UNITS = "/etc/systemd/system"
OURS = ".slipway"
"""Folder in a release for what is not the project's own."""
_IN_COMMAND = str.maketrans({"%": "%%", "$": "$$", "\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"})
_ESCAPED = str.maketrans({char: f"\\{char}" for char in '\\"`$'})


@dataclass(frozen=True, slots=True)
class MachineFiles:
    """What a host gets of one environment besides the artifact."""

    unit_name: str
    unit: str
    env: str


def machine_files(project: Project, environment: str) -> MachineFiles:
    """Return unit and environment file; raises RefusedError for a project that runs in containers."""
    if not project.is_vm:
        raise RefusedError(f"{project.name}: runs in containers, and a unit is for virtual machines; use deploy: vm")
    here = project.environment(environment)
    return MachineFiles(f"{project.name}.service", unit(project), env_text(here.env))


def unit(project: Project) -> str:
    """Return the unit: run as vm.user, locked into the folders of run.writable, further keys of vm.unit last."""
    spec = project.spec
    current = f"{project.vm_directory}/current"
    program, *arguments = (_at(current, word) for word in project.run_command(current))
    writable = [path for path in spec.run.writable if path not in {"/tmp", "/var/tmp"}]
    service: dict[str, Any] = {
        "Type": "exec",
        "User": spec.vm.user,
        "WorkingDirectory": current,
        "EnvironmentFile": f"{current}/{OURS}/env",
        "ExecStart": " \\\n  ".join(_word(word) for word in (_program(current, program), *arguments)),
        "Restart": "always",
        "RestartSec": 2,
        "TimeoutStopSec": 30,
        **sandbox(writable=[_optional(path) for path in writable], low_port=spec.run.port < 1024),
    }
    # Compilers that work while the program runs (Java, Node.js, PHP) write what they then run.
    service.pop("MemoryDenyWriteExecute")
    # A program below /home or in a folder of its own is read all the same.
    service["ProtectHome"] = "read-only"
    sections: dict[str, dict[str, Any]] = {
        "Unit": {
            "Description": f"{project.name}, released by Slipway",
            "Wants": "network-online.target",
            "After": "network-online.target",
            "StartLimitIntervalSec": 0,
        },
        "Service": service,
        "Install": {"WantedBy": "multi-user.target"},
    }
    for name, keys in spec.vm.unit.items():
        for key, value in keys.items():
            sections[name][key] = _joined(sections[name].get(key), value) if key in {"After", "Wants"} else value
    comment = f"Made from the project file of {project.name}; what is changed here is gone with the next release."
    return unit_text(sections, comment)


def _at(current: str, word: str) -> str:
    # In a container the release lies in /app, and one run.command serves both.
    return current if word == "/app" else f"{current}/{word[5:]}" if word.startswith("/app/") else word


def _program(current: str, word: str) -> str:
    # systemd takes an absolute path, or a bare name that it looks up itself.
    return f"{current}/{word.removeprefix('./')}" if "/" in word and not word.startswith("/") else word


def _word(word: str) -> str:
    """Return one word of a command line as it is: no variable and no specifier in it means anything to systemd."""
    text = word.translate(_IN_COMMAND)
    return text if word and all(char.isalnum() or char in "%$-_./:=@,+" for char in word) else f'"{text}"'


def _optional(path: str) -> str:
    # A folder that a host does not have is no reason not to start.
    return f"-{path}"


def _joined(ours: Any, more: Any) -> list[Any]:
    found = [] if ours is None else [ours]
    return [*found, *(more if isinstance(more, list) else [more])]


def env_text(env: Mapping[str, str]) -> str:
    """Return an EnvironmentFile= of systemd, each value in double quotes as systemd.exec(5) reads them."""
    lines = [f'{key}="{value.translate(_ESCAPED)}"\n' for key, value in sorted(env.items())]
    return "".join(lines)


def commands_as_root(project: Project, *, unit_is_fixed: bool = False) -> tuple[str, ...]:
    """Return the commands that a deployment runs by sudo, each with all its arguments."""
    name = f"{project.name}.service"
    place = ("/usr/bin/install -m 0644 -o root -g root "
             f"{project.vm_directory}/{OURS}/{name} {UNITS}/{name}")  # fmt: skip
    changes = () if unit_is_fixed else (place, "/usr/bin/systemctl daemon-reload")
    return (*changes, *(f"/usr/bin/systemctl {verb} {name}" for verb in ("enable", "restart", "stop")))


def sudoers(project: Project, *, unit_is_fixed: bool = False) -> str:
    """Return a file for /etc/sudoers.d: these commands without a password, nothing else (sudoers(5)).

    With `unit_is_fixed` the unit is put there by somebody else, and a release that would change it does not run:
    whoever writes a unit says as whom it runs, and so is root.
    """
    user = project.spec.vm.user
    lines = [
        f"# Made from the project file of {project.name}: what a release of it does as root. Install with visudo -cf."
    ]
    lines += [
        f"{user} ALL=(root) NOPASSWD: {_sudo(one)}" for one in commands_as_root(project, unit_is_fixed=unit_is_fixed)
    ]
    return "\n".join(lines) + "\n"


def _sudo(command: str) -> str:
    # These mean something else to sudoers; paths and names of ours hold no other of its signs.
    return "".join(f"\\{char}" if char in ",:=\\*?[]!#" else char for char in command)
