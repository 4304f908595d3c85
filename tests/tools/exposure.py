"""What systemd thinks of every service that Slipway renders, beside the unit that a distribution ships for the program.

    python -m tests.tools.exposure      writes the table of docs/hardening.md anew, and fails where that changed it

Units are those of the golden trees. Of a unit that is rendered in several ways the highest number counts. 0 is no
exposure at all, 10 all there is (systemd-analyze(1)). Numbers of Debian's units are facts, with the package they came
with; where that package is installed, a test asks systemd for them again.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from generator.spec.layout import SYSTEMD_DIR
from tests.tools.test_units import root_with

DOCS = Path(__file__).parents[2] / "docs" / "hardening.md"
GOLDEN = Path(__file__).parents[1] / "golden"
DISTRIBUTION = Path("/lib/systemd/system")
SYSTEMD = 252
"""The systemd whose numbers stand in the table; another may count otherwise."""

_HEAD = ("Unit", "Exposure", "Debian 12's own unit", "Its exposure", "What it must be able to do")
_OVERALL = re.compile(r"Overall exposure level for (\S+): ([0-9.]+)")
_DISK = re.compile(r"slipway-disk-.*?(-folders)?\.service")
_PORT = re.compile(r"^(apiserver-balancer)-[0-9]+\.service$")


@dataclass(frozen=True, slots=True)
class Shipped:
    """The unit of a distribution for the same work."""

    unit: str
    package: str
    exposure: float


@dataclass(frozen=True, slots=True)
class Row:
    """What the table says of a unit beside its number; `same` marks one that is not better, and the page says why."""

    why: str
    shipped: tuple[Shipped, ...] = ()
    same: bool = False


_NGINX = Shipped("nginx.service", "nginx-common 1.22.1-9+deb12u11", 9.6)
_HAPROXY = Shipped("haproxy.service", "haproxy 2.6.12-1+deb12u4", 9.6)
_NFT = Shipped("nftables.service", "nftables 1.0.6-2+deb12u2", 9.5)
_CHRONY = Shipped("chrony.service", "chrony 4.3-2+deb12u3", 3.7)
CHRONY = _CHRONY.unit

_OWN_USER = "its own ports and folders, as a user of its own"
_SETTING = "one file below /etc"
_DISKS = "make a file system, see all disks and mounts"
_FIREWALL = "load and drop tables of nftables"

ROWS: Mapping[str, Row] = {
    "apiserver-balancer.service": Row(_OWN_USER, (_NGINX, _HAPROXY)),
    "bridge-routes.service": Row("routes, rules of iptables, and their modules"),
    CHRONY: Row("set the clock; Debian's unit with a drop-in of ours", (_CHRONY,)),
    "containerd.service": Row(
        "everything: a container inherits what its runtime is denied",
        (Shipped("containerd.service", "containerd 1.6.20~ds1-1+deb12u3", 9.6),),
        same=True,
    ),
    "csr-approver.service": Row("one call to the API, as a user of its own"),
    "endpoint-balancer.service": Row(_OWN_USER, (_HAPROXY,)),
    "endpoint-vip.service": Row(
        "addresses of the host, raw sockets, a check as another user",
        (Shipped("keepalived.service", "keepalived 1:2.2.7-1+b2", 9.6),),
    ),
    "etcd-backup.service": Row("read the key that etcd knows it by, mount its target, write there"),
    "etcd.service": Row(_OWN_USER, (Shipped("etcd.service", "etcd-server 3.4.23-4+b4", 9.2),)),
    "kube-apiserver.service": Row(_OWN_USER),
    "kube-controller-manager.service": Row(_OWN_USER),
    "kube-proxy.service": Row("rules of the packet filter, their modules, kernel parameters"),
    "kube-scheduler.service": Row(_OWN_USER),
    "kubelet.service": Row("mounts that the host and containerd see, devices, cgroups, all processes"),
    "slipway-disk-….service": Row(_DISKS),
    "slipway-disk-…-folders.service": Row("make folders on a disk, see all mounts"),
    "slipway-dnf-conf.service": Row(_SETTING),
    "slipway-firewall.service": Row(_FIREWALL, (_NFT,)),
    "slipway-firewall-confirm.service": Row(_FIREWALL, (_NFT,)),
    "slipway-firewall-off.service": Row("stop and mask other firewalls through systemd", (_NFT,)),
    "slipway-firewall-restore.service": Row(_FIREWALL, (_NFT,)),
    "slipway-firewall-rules.service": Row(_FIREWALL, (_NFT,)),
    "slipway-host-name.service": Row("set the host's name"),
    "slipway-hosts-file.service": Row(_SETTING),
    "slipway-kernel-modules.service": Row("load modules"),
    "slipway-selinux.service": Row("set the mode of SELinux"),
    "slipway-ssh-hardening.service": Row("try and reload sshd, read the login's keys"),
    "slipway-ssh-hardening-confirm.service": Row("stop a timer"),
    "slipway-ssh-hardening-drop-in.service": Row("take a file away and reload sshd"),
    "slipway-ssh-hardening-restore.service": Row("take a file away and reload sshd"),
    "slipway-swap-off.service": Row("swapoff, mask a target"),
    "slipway-time-zone.service": Row("two files below /etc"),
}
"""Every service of the golden trees, by name; disks by what is the same in all of them."""


def exposures() -> dict[str, float]:
    """Return the exposure of each service of ours; that of chrony only where its own unit is at hand."""
    found: dict[str, float] = {}
    for units in _rounds(rendered()):
        for unit, level in measured(units).items():
            name = _PORT.sub(r"\1.service", _DISK.sub(r"slipway-disk-…\1.service", unit))
            found[name] = max(found.get(name, 0.0), level)
    if (DISTRIBUTION / CHRONY).is_file():
        found[CHRONY] = measured({CHRONY: (DISTRIBUTION / CHRONY).read_text(), **_chrony_drop_in()})[CHRONY]
    return found


def rendered() -> dict[str, list[str]]:
    """Return the different texts of each service in the golden trees."""
    texts: dict[str, set[str]] = {}
    for path in GOLDEN.glob(f"*/*/rendered/**{SYSTEMD_DIR}/*.service"):
        texts.setdefault(path.name, set()).add(path.read_text())
    return {name: sorted(found) for name, found in sorted(texts.items())}


def measured(units: Mapping[str, str]) -> dict[str, float]:
    """Ask systemd about services by their text; a drop-in among them goes with its service."""
    names = [name for name in units if "/" not in name]
    with tempfile.TemporaryDirectory() as folder:
        root = root_with(dict(units), Path(folder) / "root")
        command = ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--root={root}", *names]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = {unit: float(level) for unit, level in _OVERALL.findall(done.stdout)}
    assert set(found) == set(names), done.stderr
    return found


def systemd_version() -> int:
    """Return the number of the systemd that is asked."""
    done = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[1])


def table(found: Mapping[str, float]) -> str:
    """Return the table of the docs; of what could not be measured here the number stays that of the table."""
    told = documented()
    lines = ["| " + " | ".join(_HEAD) + " |", "|---|--:|---|--:|---|"]
    for name, row in sorted(ROWS.items()):
        level = found.get(name, told.get(name))
        shipped = "<br>".join(f"`{one.unit}` ({one.package})" for one in row.shipped) or "none"
        theirs = "<br>".join(f"{one.exposure}" for one in row.shipped)
        lines.append(f"| `{name}` | {level} | {shipped} | {theirs} | {row.why} |")
    return "\n".join(lines)


def documented() -> dict[str, float]:
    """Return the exposures that the docs name."""
    rows = re.findall(r"^\| `([^`]+)` \| ([0-9.]+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: float(level) for name, level in rows}


def page(found: Mapping[str, float]) -> str:
    """Return the page with the table as it is now: the one table of that page."""
    text = DOCS.read_text(encoding="utf-8")
    return re.sub(r"^\| Unit .*?(?=\n\n)", lambda _: table(found), text, count=1, flags=re.MULTILINE | re.DOTALL)


def _rounds(texts: Mapping[str, list[str]]) -> list[dict[str, str]]:
    """Return sets of units with one text each, so that systemd is asked a few times and not once per text."""
    most = max(len(found) for found in texts.values())
    return [{name: found[index] for name, found in texts.items() if index < len(found)} for index in range(most)]


def _chrony_drop_in() -> dict[str, str]:
    path = next(GOLDEN.glob(f"variations/*/rendered/**/{CHRONY}.d/*.conf"))
    return {f"{CHRONY}.d/{path.name}": path.read_text()}


if __name__ == "__main__":
    new = page(exposures())
    changed = new != DOCS.read_text(encoding="utf-8")
    DOCS.write_text(new, encoding="utf-8")
    sys.exit(1 if changed else 0)
