"""System users: the line for systemd-sysusers and the item that has it read before files of that owner arrive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from generator.components.items import HostFile, HostItem, HostUser
from generator.spec.layout import SYSUSERS_DIR


def system_user(name: str, *, component: str, title: str, home: str, groups: Sequence[str] = ()) -> Iterator[HostItem]:
    """Yield a user without a login and its sysusers.d(5) file; groups that do not exist are made with it."""
    lines = [f'u {name} - "{title}" {home} /usr/sbin/nologin', *(f"m {name} {group}" for group in groups)]
    yield HostUser(name, component, tuple(groups))
    yield HostFile(
        f"{SYSUSERS_DIR}/slipway-{name}.conf", "\n".join(lines) + "\n", component=component, phase="host-base"
    )
