"""Apply where it needs the API: objects, joins, drains, labels; the API itself only remembers what it was asked."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fleet.cluster_record import Applied
from fleet.gates import KINDS, GateContext, GateKind
from fleet.options import Options
from fleet.plan import ObjectChange
from fleet.plan_text import plan_lines
from fleet.runs import apply_run, plan_run
from fleet.standing import Fleet
from fleet.tree import Phase
from generator.errors import ApiError, GateError, RefusedError
from generator.sealing import Identity
from tests.fleet.local_host import as_root
from tests.fleet.place import HOSTS, Place
from tests.fleet.small_tree import ITEMS

pytestmark = as_root

BOOTSTRAP = "/run/slipway/bootstrap.kubeconfig"
CLIENT = "/var/lib/agent/client.pem"
PHASES: list[dict[str, Any]] = [
    {"name": "host-base", "batch": "all"},
    {"name": "binaries", "batch": "all"},
    {"name": "runtime", "roles": ["worker"], "batch": "slots", "deferDrained": "nodes", "gates": [{"kind": "units"}]},
    {"name": "rbac", "objects": ["00-rbac"], "gates": [{"kind": "accepted-here"}]},
    {
        "name": "nodes",
        "roles": ["worker"],
        "batch": "slots",
        "drain": True,
        "join": {"kubeconfig": BOOTSTRAP, "server": "https://127.0.0.1:8443", "clientCertificate": CLIENT, "ca": "/no"},
        "gates": [{"kind": "units"}, {"kind": "joined-here", "timeout": 0}],
    },
]
AGENT = [
    {"path": "/etc/systemd/system/agent.service", "kind": "file", "mode": "0644", "phase": "nodes"},
    {"name": "agent.service", "kind": "unit", "phase": "nodes", "drainKey": "runtime 1"},
]


class Remembering:
    """Fills ClusterApi; `asked` is what was asked of it, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.lost: tuple[str, ...] = ()
        self.pending: tuple[ObjectChange, ...] = (ObjectChange("rbac", "Role a", "create"),)
        self.unfinished = False
        self.recorded: list[Applied] = []
        self.hang = ""
        self.labels: tuple[ObjectChange, ...] = (ObjectChange("nodes", "Node n1", "change"),)

    def admin_context(self) -> ssl.SSLContext:
        raise AssertionError("nobody speaks TLS here")

    async def object_changes(self, sets: Sequence[str]) -> tuple[ObjectChange, ...]:
        left = (ObjectChange("rbac", "objects of 00-rbac", "unfinished"),) if self.unfinished else ()
        return (*self.pending, *left)

    async def objects_settled(self, sets: Sequence[str]) -> None:
        self.unfinished = False

    async def record_apply(self, applied: Applied) -> bool:
        self.recorded.append(applied)
        return True

    async def apply_objects(
        self, sets: Sequence[str], told: Callable[[ObjectChange], None] = lambda _: None
    ) -> tuple[ObjectChange, ...]:
        self.asked.append(f"apply {' '.join(sets)}")
        done, self.pending = self.pending, ()
        self.unfinished = self.unfinished or bool(done)
        for change in done:
            told(change)
        return done

    async def ready_nodes(self) -> Mapping[str, bool]:
        return {"n1": True}

    async def node_boot(self, host: str) -> str:
        return ""

    async def bootstrap_kubeconfig(self, phase: Phase, hosts: Sequence[str]) -> bytes:
        self.asked.append(f"token for {' '.join(hosts)}")
        return b"kind: Config\n"

    async def end_bootstrap(self) -> None:
        self.asked.append("tokens deleted")

    async def node_changes(self, hosts: Collection[str]) -> tuple[ObjectChange, ...]:
        return self.labels

    async def foreign_control_plane(self) -> tuple[str, ...]:
        return self.lost

    async def settle_nodes(self, hosts: Collection[str]) -> tuple[ObjectChange, ...]:
        done, self.labels = self.labels, ()
        return done

    async def drain(self, host: str) -> None:
        self.asked.append(f"drain {host}")

    async def uncordon(self, host: str) -> None:
        self.asked.append(f"uncordon {host}")

    async def close(self) -> None:
        self.asked.append("closed")


class Nodes(Place):
    """Two nodes whose agent joins by bootstrap; the gate joined-here is open where the join was possible."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self.api = Remembering()
        self.names = {name: {**HOSTS[name], "node": name} for name in ("n1", "n2")}
        self.items = [*map(dict, ITEMS), *map(dict, AGENT)]
        self.contents["/etc/systemd/system/agent.service"] = "[Service]\n"
        self.join_fails = False

        async def joined(context: GateContext, _: Mapping[str, Any]) -> str:
            host, _ = context.on_host()
            connection = self.hosts[host.name]
            bootstrap = connection.root / BOOTSTRAP[1:]
            if bootstrap.exists():
                assert bootstrap.read_bytes() == b"kind: Config\n" and bootstrap.stat().st_mode & 0o777 == 0o600
                assert bootstrap.parent.stat().st_mode & 0o777 == 0o700
                (connection.root / "var/lib/agent").mkdir(parents=True, exist_ok=True)
                (connection.root / CLIENT[1:]).write_text(CERTIFICATE)
            self.api.asked.append(f"gate {host.name}")
            return "it does not come" if self.join_fails else ""

        async def accepted(context: GateContext, _: Mapping[str, Any]) -> str:
            assert context.host is None
            return self.api.hang

        monkeypatch.setitem(KINDS, "joined-here", GateKind("joined-here", joined, 0))
        monkeypatch.setitem(KINDS, "accepted-here", GateKind("accepted-here", accepted, 0, of_host=False))

    def fleet(self, *args: Any, **more: Any) -> Fleet:
        made = super().fleet(*args, phases=PHASES, **more)

        async def api(_: object) -> Remembering:
            return self.api

        made.open_api = api
        made.identity = lambda: Identity(Path("nowhere"), ())
        return made


def make_certificate() -> str:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([]), datetime.now(UTC)
    built = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
    )
    return built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


CERTIFICATE = make_certificate()


@pytest.fixture
def nodes(tmp_path: Path, quick_gates: None, monkeypatch: pytest.MonkeyPatch) -> Nodes:
    return Nodes(tmp_path, monkeypatch)


def test_new_nodes_join_together_with_one_token_that_does_not_stay(nodes: Nodes) -> None:
    nodes.run(apply_run)
    asked = nodes.api.asked
    assert asked[:2] == ["apply 00-rbac", "token for n1 n2"]
    assert sorted(asked[2:4]) == ["gate n1", "gate n2"] and asked[4:] == ["tokens deleted", "closed"]
    assert not (nodes.hosts["n1"].root / BOOTSTRAP[1:]).exists()
    asked.clear()
    nodes.run(apply_run)
    assert asked == ["closed"], "no token, no object, no gate"
    assert nodes.run(plan_run).exit_code == 0


def test_a_join_that_fails_leaves_no_token_behind(nodes: Nodes) -> None:
    nodes.join_fails = True
    with pytest.raises(GateError, match="gate joined-here is still shut: it does not come"):
        nodes.run(apply_run)
    assert nodes.api.asked[-2:] == ["tokens deleted", "closed"]
    assert not any((nodes.hosts[name].root / BOOTSTRAP[1:]).exists() for name in nodes.names)


def test_a_node_without_its_certificate_joins_again_and_its_agent_is_restarted(nodes: Nodes) -> None:
    nodes.run(apply_run)
    nodes.api.asked.clear()
    host = nodes.hosts["n2"]
    (host.root / CLIENT[1:]).unlink()
    host.forget_log()
    nodes.run(apply_run)
    assert nodes.api.asked == ["gate n2", "token for n2", "gate n2", "tokens deleted", "closed"]
    assert host.log == ["restart agent.service"]


def test_the_kubeconfig_that_a_killed_run_wrote_to_join_is_taken_away(nodes: Nodes) -> None:
    nodes.run(apply_run)
    left = nodes.hosts["n2"].root / BOOTSTRAP[1:]
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_text("token: abcdef.0123456789abcdef\n")
    nodes.run(apply_run)
    assert not left.exists()


def test_a_changed_drain_key_drains_one_node_after_the_other(nodes: Nodes) -> None:
    nodes.run(apply_run)
    nodes.api.asked.clear()
    for name in nodes.names:
        nodes.hosts[name].forget_log()
    nodes.contents["/etc/idle/idle.conf"] = "level: 2\n"
    nodes.items = [{**item, "drainKey": "runtime 2"} if item.get("drainKey") else item for item in nodes.items]
    nodes.run(apply_run)
    kept = [one for one in nodes.api.asked if not one.startswith("gate")]
    assert kept == ["drain n1", "uncordon n1", "drain n2", "uncordon n2", "closed"]
    assert nodes.hosts["n1"].log == ["restart idle.service"], "the runtime's change waited for the drained node"
    assert not nodes.hosts["n1"].state("cordoned").exists()
    nodes.api.asked.clear()
    nodes.contents["/etc/idle/idle.conf"] = "level: 3\n"
    nodes.run(apply_run)
    assert not [one for one in nodes.api.asked if one.startswith("drain")], "drained for nothing else"


def test_a_node_that_a_killed_run_left_cordoned_is_let_free(nodes: Nodes) -> None:
    nodes.run(apply_run)
    nodes.hosts["n1"].state("cordoned").touch()
    nodes.api.asked.clear()
    nodes.run(apply_run)
    assert "uncordon n1" in nodes.api.asked and not nodes.hosts["n1"].state("cordoned").exists()
    assert not nodes.run(plan_run).needed


def test_plan_says_why_objects_are_not_compared(nodes: Nodes) -> None:
    nodes.run(apply_run)

    async def refuses(*_: object) -> Any:
        raise ApiError("demo: kube-apiserver: no credentials; name a kubeconfig")

    nodes.api.object_changes = refuses  # type: ignore[method-assign]
    plan = nodes.run(plan_run)
    assert plan.exit_code == 0 and plan.notes == (
        "objects not compared: demo: kube-apiserver: no credentials; name a kubeconfig",
    )


def test_tokens_of_a_killed_run_are_swept_by_the_next(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes.run(apply_run)
    nodes.api.asked.clear()
    for room in ("runs", "guards"):
        monkeypatch.setattr(f"fleet.{room}.formed", lambda *_: True)
    nodes.run(apply_run)
    assert nodes.api.asked == ["tokens deleted", "closed"]

    async def refuses() -> tuple[str, ...]:
        raise ApiError("demo: kube-apiserver: it is away")

    nodes.api.foreign_control_plane = refuses  # type: ignore[method-assign]
    nodes.api.asked.clear()
    nodes.run(apply_run)
    assert nodes.api.asked == ["closed"]


def test_an_inventory_without_one_of_its_control_plane_nodes_is_refused(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.run(apply_run)
    nodes.api.lost = ("cp9",)
    nodes.contents["/etc/idle/idle.conf"] = "level: 2\n"
    for room in ("runs", "guards"):
        monkeypatch.setattr(f"fleet.{room}.formed", lambda *_: True)
    with pytest.raises(RefusedError, match="cp9 is a control-plane node and no longer one in the inventory"):
        nodes.run(apply_run)
    assert (nodes.hosts["n1"].root / "etc/idle/idle.conf").read_text() == "level: 1\n"


def test_a_roll_out_that_hung_is_waited_for_again(nodes: Nodes) -> None:
    nodes.api.hang = "Deployment kube-system/dns: 0 of 2 replicas are available"
    with pytest.raises(GateError, match="0 of 2 replicas are available"):
        nodes.run(apply_run)
    assert nodes.api.recorded == [], "a run that stopped has not applied the tree"
    assert nodes.run(plan_run).exit_code == 2
    with pytest.raises(GateError, match="0 of 2 replicas are available"):
        nodes.run(apply_run)
    nodes.api.hang = ""
    nodes.run(apply_run)
    assert nodes.run(plan_run).exit_code == 0 and len(nodes.api.recorded) == 1


def test_an_apply_through_all_phases_is_recorded_and_a_part_of_one_is_not(nodes: Nodes) -> None:
    (nodes.cluster_dir / "cluster.yaml").write_text("kind: Cluster\n")
    nodes.run(apply_run, Options(limit=("n1",)))
    nodes.run(apply_run, Options(phases=("runtime",)))
    assert nodes.api.recorded == []
    nodes.run(apply_run)
    (applied,) = nodes.api.recorded
    assert applied.spec == "kind: Cluster\n" and applied.versions == {"kubernetes": "1.20.2"}
    assert applied.tree == nodes.fleet().tree.digest and applied.left_out == ()
    assert applied.time.endswith("+00:00") and applied.command == "invoke apply"


def test_a_record_that_cannot_be_written_fails_nothing(nodes: Nodes) -> None:
    async def refuses(_: object) -> bool:
        raise ApiError("demo: kube-apiserver: it is away")

    nodes.api.record_apply = refuses  # type: ignore[method-assign,assignment]
    nodes.run(apply_run)
    assert nodes.run(plan_run).exit_code == 0


def test_an_object_that_is_refused_is_something_to_do(nodes: Nodes) -> None:
    nodes.run(apply_run)
    nodes.api.pending = (ObjectChange("rbac", "Role a", "refused", ("a webhook says no",)),)
    plan = nodes.run(plan_run)
    assert plan.exit_code == 2
    lines = [line.text for line in plan_lines(plan)]
    assert "  ? Role a (refused)" in lines and "      a webhook says no" in lines and lines[-1] == "demo: 1 object"
