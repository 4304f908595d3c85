"""What stands against working with a host, and why a unit of it is not up, from facts that it has told."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.state import HostState, UnitFacts
from fleet.tree import Host

CLOCK_SECONDS = 60
_ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}
_SYSTEMS = {"almalinux": "alma", "openEuler": "openeuler"}


def preflight_faults(host: Host, state: HostState, *, fetch: str) -> list[str]:
    """Return everything that stands against working with a host; `fetch` as in the inventory (push or host)."""
    missing = missing_programs(state.missing_programs, fetch=fetch)
    faults = [
        system_fault(host, state.os_id, state.os_version),
        arch_fault(host, state.arch),
        f"these programs are missing: {', '.join(missing)}" if missing else "",
        clock_fault(state.clock_ahead),
    ]
    return [fault for fault in faults if fault]


def system_fault(host: Host, name: str, version: str) -> str:
    """Return why a distribution, as /etc/os-release names it, is not that of the host's pool, "" where it is."""
    system = f"{_SYSTEMS.get(name, name)}-{version}"
    if system == host.pool.os or system.startswith(f"{host.pool.os}."):
        return ""
    return f"it runs {system}, pool {host.pool.name} says {host.pool.os}"


def arch_fault(host: Host, machine: str) -> str:
    """Return why a processor, as uname names it, is not that of the host's pool, "" where it is."""
    arch = _ARCHES.get(machine, machine)
    return "" if arch == host.pool.arch else f"its processor is {arch}, pool {host.pool.name} says {host.pool.arch}"


def missing_programs(missing: Sequence[str], *, fetch: str) -> list[str]:
    """Return which of the programs that are not there are needed; of curl and wget one is enough, where hosts fetch."""
    needed = [program for program in missing if program not in {"curl", "wget"}]
    return [*needed, "curl or wget"] if fetch == "host" and {"curl", "wget"} <= set(missing) else needed


def clock_fault(ahead: float) -> str:
    """Return why a clock that is so many seconds before this machine's is too far off, "" where it is not."""
    if abs(ahead) <= CLOCK_SECONDS:
        return ""
    return f"its clock is {abs(ahead):.0f} s away from this machine's, certificates would not be valid"


def unit_fault(name: str, facts: UnitFacts) -> str:
    """Return why a unit is not as it should be, "" when it is up.

    Services run (or, Type=oneshot, have ended well and remain), timers and paths wait.
    """
    if facts.load in {"", "not-found"}:
        return f"{name} is not known to systemd"
    if facts.active == "active":
        good = {
            "service": {"running", "exited"},
            "timer": {"waiting", "running", "elapsed"},
            "path": {"waiting", "running"},
        }
        if facts.sub in good.get(name.rpartition(".")[2], {facts.sub}) and (
            facts.sub != "exited" or facts.type == "oneshot"
        ):
            return ""
    if facts.type == "oneshot" and facts.active == "inactive" and facts.sub == "dead":
        return ""
    return f"{name} is {facts.active or 'unknown'} ({facts.sub})" + (
        f", restarted {facts.restarts} times" if facts.restarts else ""
    )
