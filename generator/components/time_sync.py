"""Time by chrony: every host asks the servers of the spec, or hosts of the cluster ask them and all others ask those.

chrony.conf is wholly ours, so that no server of the distribution's default is asked beside those of the spec. Paths and
the unit differ by family: /etc/chrony/chrony.conf and chrony.service on Debian and Ubuntu, /etc/chrony.conf and
chronyd.service elsewhere (chrony.conf(5) and the packages). systemd-timesyncd is masked: two programs must not turn one
clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from generator.components.host_setting import HostSetting
from generator.components.items import HostFile, HostItem, HostLink, HostPackage, HostUnit
from generator.components.view import View
from generator.formats.units import unit_text
from generator.spec.layout import SYSTEMD_DIR
from generator.spec.sections_system import System

NAME = "time-sync"
PHASE = "host-base"


@dataclass(frozen=True, slots=True)
class _Chrony:
    config: str
    drift: str
    unit: str
    locked: Mapping[str, Any]


FAMILIES: Mapping[str, _Chrony] = {
    "debian": _Chrony(
        "/etc/chrony/chrony.conf", "/var/lib/chrony/chrony.drift", "chrony.service", {"NoNewPrivileges": True}
    ),
    "redhat": _Chrony("/etc/chrony.conf", "/var/lib/chrony/drift", "chronyd.service", {}),
}
"""What differs by family. Debian's unit leaves new privileges open for mail about jumps of the clock (mailonchange),
which our configuration does not ask for; a policy of SELinux may not bear the key, so the others keep what they have.
"""


def _used(system: System) -> bool:
    return system.time.mode != "keep"


def _everywhere(view: View) -> Iterator[HostItem]:
    yield HostPackage("chrony", NAME)
    yield HostLink(f"{SYSTEMD_DIR}/systemd-timesyncd.service", "/dev/null", NAME, PHASE)


def _of_pool(view: View) -> Iterator[HostItem]:
    assert view.pool is not None
    chrony = FAMILIES[view.pool.os_family]
    yield HostFile(chrony.config, _config(view, chrony), NAME, PHASE, restarts=(chrony.unit,))
    drop_in: dict[str, dict[str, Any]] = {
        "Unit": {"StartLimitIntervalSec": 0},
        "Service": {"Restart": "always", "RestartSec": 5, **chrony.locked},
    }
    yield HostFile(
        f"{SYSTEMD_DIR}/{chrony.unit}.d/50-slipway.conf",
        unit_text(drop_in, comment="The distributions' unit stays down once chronyd has died."),
        NAME,
        PHASE,
        restarts=(chrony.unit,),
    )
    yield HostUnit(chrony.unit, NAME, PHASE)


def _config(view: View, chrony: _Chrony) -> str:
    time = view.system.time
    if time.mode == "own" and not time.serves:
        asked = tuple(host.address for host in view.cluster.hosts if host.name in time.own)
    else:
        asked = time.servers
    lines = [
        "# Who is asked for the time.",
        *(f"server {one} iburst" for one in asked),
        f"driftfile {chrony.drift}",
        "# A clock that is off by more than a second is set at once, in the first three updates only.",
        "makestep 1.0 3",
        "rtcsync",
        "# A jump of more than half a second is logged.",
        "logchange 0.5",
        "# chronyc asks through its socket, never over the network.",
        "cmdport 0",
    ]
    if time.serves:
        lines += [
            "# The other hosts ask this one, also while it reaches nobody itself: so they stay together.",
            *(f"allow {network}" for network in time.allow),
            "local stratum 10 orphan",
        ]
    else:
        lines += ["# Nobody asks this host.", "port 0"]
    return "\n".join(lines) + "\n"


COMPONENT = HostSetting(NAME, _used, everywhere=_everywhere, of_pool=_of_pool)
