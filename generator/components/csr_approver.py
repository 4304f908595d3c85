"""csr-approver: lets kubelets have their serving certificates without anybody running Slipway.

A timer on each control-plane host; the script compares requests with the reviewed list of nodes, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources

from generator.components.accounts import system_user
from generator.components.daemon import UnitSections
from generator.components.items import HostDirectory, HostFile, HostItem, HostUnit
from generator.components.leaf import leaf
from generator.components.own_api import Level, own_api_kubeconfig
from generator.components.settings import Settings, resolved
from generator.components.timers import service_and_timer
from generator.components.view import View
from generator.formats.sandbox import sandbox
from generator.formats.units import unit_text
from generator.spec.layout import KUBERNETES_DIR, PKI_DIR, SYSTEMD_DIR
from generator.spec.model import Cluster, Pool

NAME = "csr-approver"
PHASE = "control-plane"
SERVICE = f"{NAME}.service"
TIMER = f"{NAME}.timer"
HOME = f"/var/lib/{NAME}"
SCRIPT = f"/usr/local/lib/slipway/{NAME}"
KUBECONFIG = f"{KUBERNETES_DIR}/{NAME}.kubeconfig"
CREDENTIALS = f"{PKI_DIR}/{NAME}"


@dataclass(frozen=True, slots=True)
class CsrApprover:
    """A script, the service that runs it once, and the timer that starts the service."""

    name: str = NAME

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool are control plane."""
        return "control-plane" in pool.roles

    def settings(self, view: View) -> Settings:
        """Return the units; the section Timer goes into the timer, Install too, all else into the service."""
        return resolved(view.overrides(NAME), unit=_UNIT)

    def shared(self, view: View) -> Iterable[HostItem]:
        """Yield user, script, kubeconfig and units; a run that starts later reads what is there by then."""
        service, timer = service_and_timer(self.settings(view).unit)
        yield from system_user(NAME, component=NAME, title="Approves serving certificates of nodes", home=HOME)
        yield HostDirectory(HOME, NAME, PHASE, mode=0o700, owner=NAME, group=NAME)
        yield HostFile(SCRIPT, _script(), NAME, PHASE, mode=0o755)
        yield from _kubeconfig(view, "shared")
        yield HostFile(f"{SYSTEMD_DIR}/{SERVICE}", unit_text(service), NAME, PHASE)
        yield HostFile(f"{SYSTEMD_DIR}/{TIMER}", unit_text(timer), NAME, PHASE, restarts=(TIMER,))
        yield HostUnit(TIMER, NAME, PHASE)

    def pool(self, view: View) -> Iterable[HostItem]:
        """Yield nothing: no pool differs."""
        return ()

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield the client certificate of this host's approver."""
        yield from _kubeconfig(view, "host")
        yield from leaf(view, NAME, CREDENTIALS, component=NAME, phase=PHASE, owner=NAME)


def _kubeconfig(view: View, level: Level) -> Iterator[HostItem]:
    return own_api_kubeconfig(
        view,
        level,
        path=KUBECONFIG,
        user="slipway:csr-approver",
        credentials=CREDENTIALS,
        component=NAME,
        phase=PHASE,
    )


def _script() -> str:
    return resources.files("generator.components").joinpath("csr-approver.sh").read_text(encoding="utf-8")


_UNIT: UnitSections = {
    "Unit": {
        "Description": "Approval of the serving certificates of listed nodes",
        "After": "network-online.target kube-apiserver.service",
        "RequiresMountsFor": HOME,
    },
    "Service": {
        "Type": "oneshot",
        "User": NAME,
        "Group": NAME,
        "WorkingDirectory": HOME,
        "Environment": [f"HOME={HOME}", f"KUBECONFIG={KUBECONFIG}", "PATH=/usr/local/bin:/usr/bin:/bin"],
        "ExecStart": SCRIPT,
        "TimeoutStartSec": "2min",
        **sandbox(writable=(HOME,)),
    },
    "Timer": {"OnActiveSec": "10s", "OnUnitInactiveSec": "20s", "AccuracySec": "1s"},
    "Install": {"WantedBy": "timers.target"},
}


COMPONENT = CsrApprover()
