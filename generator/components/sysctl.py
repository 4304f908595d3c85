"""Kernel settings as files for systemd-sysctl, each with the reason why it is there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

SYSCTL_UNIT = "systemd-sysctl.service"
"""It applies all files again when it restarts; it knows no reload."""


@dataclass(frozen=True, slots=True)
class Sysctl:
    """One setting with its reason, a sentence for whoever reads the file."""

    key: str
    value: str
    why: str


def sysctl_text(defaults: Iterable[Sysctl], spec: Mapping[str, str | None], without: Collection[str] = ()) -> str:
    """Return a file of sysctl.d(5): the defaults unless the spec says otherwise, then the spec's own, sorted by key.

    None in the spec leaves a key alone; keys in `without` are written elsewhere.
    """
    lines: list[str] = []
    for one in sorted(defaults, key=lambda one: one.key):
        if one.key not in spec and one.key not in without:
            lines += [f"# {one.why}", f"{one.key} = {one.value}"]
    own = [f"{key} = {value}" for key, value in sorted(spec.items()) if value is not None]
    if own:
        lines += ["# From the sysctl section of cluster.yaml.", *own]
    return "\n".join(lines) + "\n" if lines else ""
