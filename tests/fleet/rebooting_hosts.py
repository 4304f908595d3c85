"""Nodes without SSH that can be rebooted: another boot id, the kernel of the boot loader, away for a while."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import fleet.host_gates as host_gates
from fleet.gates import KINDS, GateContext, GateKind
from fleet.options import Options
from fleet.standing import Fleet
from fleet.tree import Host
from generator.errors import ApiError, HostError
from generator.sealing import Identity
from tests.fleet.local_host import LocalHost, LocalHosts
from tests.fleet.place import HOSTS, Place
from tests.fleet.small_tree import ITEMS
from tests.fleet.test_apply_api import AGENT, Remembering

OLD, NEW = "6.1.0-9-amd64", "6.1.0-39-amd64"
PHASES: list[dict[str, Any]] = [
    {"name": "preflight", "batch": "all", "gates": [{"kind": "preflight"}]},
    {"name": "host-base", "batch": "all"},
    {"name": "binaries", "batch": "all"},
    {"name": "runtime", "roles": ["worker"], "batch": "slots", "deferDrained": "nodes", "gates": [{"kind": "units"}]},
    {
        "name": "nodes",
        "roles": ["worker"],
        "batch": "slots",
        "drain": True,
        "join": {"kubeconfig": "/run/b", "server": "https://127.0.0.1:8443", "clientCertificate": "/no", "ca": "/no"},
        "before": [{"kind": "others-here", "timeout": 0}],
        "gates": [{"kind": "units"}, {"kind": "serves-here", "timeout": 0}],
    },
]
SYSTEMCTL = r"""#!/bin/sh
# A reboot: another boot, the kernel that the boot loader starts, and so many looks until somebody answers.
case "$*" in
*reboot*)
    echo reboot >>"$FAKE/log"
    boots=$(grep -c reboot "$FAKE/log")
    [ -e "$FAKE/hangs" ] || echo "boot-$boots" >"$FAKE_ROOT/proc/sys/kernel/random/boot_id"
    cp "$FAKE/next" "$FAKE/running"
    echo "${1:-}" >"$FAKE/down"
    exit ;;
esac
exec "$FAKE/bin/systemd" "$@"
"""
UNAME = '#!/bin/sh\nif [ "$1" = -r ]; then cat "$FAKE/running"; else exec {uname} "$@"; fi\n'


class RebootingHost(LocalHost):
    """`down` is for how many tries nobody answers after a reboot."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, folder)
        self.down = 1
        shutil.move(self.fake / "bin/systemctl", self.fake / "bin/systemd")
        for program, text in (("systemctl", SYSTEMCTL), ("uname", UNAME.format(uname=shutil.which("uname")))):
            (self.fake / "bin" / program).write_text(text)
            (self.fake / "bin" / program).chmod(0o755)
        random = self.root / "proc/sys/kernel/random"
        random.mkdir(parents=True, exist_ok=True)
        (random / "boot_id").write_text("boot-0\n")
        (self.fake / "running").write_text(f"{OLD}\n")
        (self.fake / "next").write_text(f"{OLD}\n")
        self.install(OLD)

    def install(self, release: str, *, default: bool = False) -> None:
        """Install a kernel, and let the boot loader start it from now on."""
        (self.root / "lib/modules" / release).mkdir(parents=True, exist_ok=True)
        (self.root / "boot").mkdir(exist_ok=True)
        (self.root / "boot" / f"vmlinuz-{release}").touch()
        if default:
            (self.fake / "next").write_text(f"{release}\n")

    @property
    def reboots(self) -> int:
        return self.log.count("reboot")

    @property
    def running(self) -> str:
        return (self.fake / "running").read_text().strip()

    @property
    def boot(self) -> str:
        return (self.root / "proc/sys/kernel/random/boot_id").read_text().strip()

    @property
    def in_hand(self) -> list[str]:
        """What a run has noted of a host that it has not let go."""
        return [name for name in ("cordoned", "rebooting") if self.state(name).exists()]

    def answers(self) -> bool:
        """Whether it can be entered; after a reboot not for some tries."""
        path = self.fake / "down"
        if path.exists():
            if self.down > 0:
                self.down -= 1
                return False
            path.unlink()
        return self.reachable


class RebootingHosts(LocalHosts):
    """Several such hosts."""

    def __getitem__(self, name: str) -> RebootingHost:
        if name not in self.hosts:
            self.hosts[name] = RebootingHost(name, self.folder)
        found = self.hosts[name]
        assert isinstance(found, RebootingHost)
        return found

    async def connect(self, host: Host) -> RebootingHost:
        found = self[host.name]
        if not found.answers():
            raise HostError(f"demo/{host.name}: ssh: it cannot be reached; check it", host.name)
        return found


class RebootingApi(Remembering):
    """`ready` are the nodes that are; `stuck` those that cannot be drained; `boots` what kubelets have reported."""

    def __init__(self, hosts: RebootingHosts) -> None:
        super().__init__()
        self.hosts = hosts
        self.ready = {name: True for name in HOSTS}
        self.stuck: set[str] = set()
        self.late = 1

    async def ready_nodes(self) -> dict[str, bool]:
        return dict(self.ready)

    async def node_boot(self, host: str) -> str:
        self.late -= 1
        return "boot-before" if self.late >= 0 else self.hosts[host].boot

    async def drain(self, host: str) -> None:
        await super().drain(host)
        if host in self.stuck:
            raise ApiError(f"demo: node {host}: pods without a controller would be lost: a/b; move or delete them")


class RebootingNodes(Place):
    """Three nodes of a pool that are to run `kernel`; the gate others-here is shut while `others` says why."""

    hosts: RebootingHosts

    def __init__(self, folder: Path, monkeypatch: Any) -> None:
        super().__init__(folder)
        self.hosts = RebootingHosts(folder / "hosts")
        self.api = RebootingApi(self.hosts)
        self.names = {name: {**HOSTS[name], "node": name} for name in HOSTS}
        self.items = [*map(dict, ITEMS), *map(dict, AGENT)]
        self.contents["/etc/systemd/system/agent.service"] = "[Service]\n"
        self.kernel = "newest"
        self.others = ""
        self.sick = ""

        async def others(context: GateContext, _: Any) -> str:
            self.api.asked.append(f"others of {context.on_host()[0].name}")
            return self.others

        async def serves(context: GateContext, _: Any) -> str:
            name = context.on_host()[0].name
            self.api.asked.append(f"gate {name}")
            return "its pods do not come" if name == self.sick else ""

        monkeypatch.setitem(KINDS, "others-here", GateKind("others-here", others, 0))
        monkeypatch.setitem(KINDS, "serves-here", GateKind("serves-here", serves, 0))
        monkeypatch.setattr(host_gates, "STEADY_SECONDS", 0.0)
        monkeypatch.setattr("fleet.gates.POLL_SECONDS", 0.01)
        monkeypatch.setattr("fleet.reboot.POLL_SECONDS", 0.01)
        monkeypatch.setattr("fleet.compare.join_reason", lambda *_: "")

    def fleet(self, options: Options | None = None, **more: Any) -> Fleet:
        pools = {
            "workers": {
                "roles": ["etcd", "worker"], "components": ["idle"], "os": "debian-12", "arch": "amd64",
                **({"kernel": self.kernel} if self.kernel else {}),
            }
        }  # fmt: skip
        made = super().fleet(options, phases=PHASES, pools=pools, **more)

        async def api(_: object) -> RebootingApi:
            return self.api

        made.open_api = api
        made.identity = lambda: Identity(Path("nowhere"), ())
        return made
