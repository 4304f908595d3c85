"""Facts in, findings out: what counts, in which words, and how many hosts are told together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.cluster_record import Recorded
from fleet.kernels import Kernel
from fleet.plan import make_plan
from fleet.ports import Port
from fleet.state import HostState, Owned, PathFacts, UnitFacts
from fleet.status.api_facts import ApiFacts, Health, Node, Request, readiness, request_from
from fleet.status.backup import Backup, Failure, Good
from fleet.status.collect import Status
from fleet.status.document import status_document
from fleet.status.etcd import EtcdFacts, Member, MemberStatus
from fleet.status.findings import exit_code, findings
from fleet.status.host_facts import Certificate, HostFacts, facts_from, inquiry
from fleet.status.listening import PODS, Listening
from fleet.status.text import status_lines
from fleet.tree import RenderedTree
from generator.errors import HostError
from tests.fleet.small_tree import ITEMS, write_tree

NOW = datetime(2026, 6, 1, tzinfo=UTC)
UNIT = "idle.service"
GOOD = UnitFacts("loaded", "active", "running", "enabled", 0, "simple")
FORMATION = {"unit": UNIT, "data": "/var/lib/idle", "mark": "/var/lib/slipway/etcd-formed"}
PHASES: list[dict[str, Any]] = [
    {"name": "host-base", "batch": "all"},
    {"name": "binaries", "batch": "all"},
    {"name": "runtime", "roles": ["etcd"], "batch": "one", "formation": FORMATION},
]
LISTENING = (Listening(22, "::", "sshd", 5, "ssh.service"), Listening(2379, "127.0.0.1", "idle", 9, UNIT))
TABLE = (
    Port(22, 22, "tcp", frozenset({"any"}), frozenset({"operator"}), "sshd", "the way in"),
    Port(2379, 2379, "tcp", frozenset({"loopback"}), frozenset({"host"}), "idle", "clients"),
)
MEMBER = MemberStatus("3.5.1", 1_000_000, 500_000, "1", 2, 100, 100)


def tree_of(folder: Path, count: int = 3) -> RenderedTree:
    hosts = {f"n{n}": {"pool": "workers", "address": f"10.0.0.{n}", "node": f"n{n}"} for n in range(1, count + 1)}
    tree = write_tree(folder, hosts=hosts, phases=PHASES, items=[item for item in ITEMS if item["kind"] != "binary"])
    return replace(tree, ports={name: TABLE for name in tree.hosts})


def state_of(tree: RenderedTree, name: str) -> HostState:
    """A host that has exactly what it is to have."""
    host = tree.hosts[name]
    paths, owned = {}, {}
    for item in host.items:
        owned[item.key] = Owned(item.kind, item.phase, item.component, item.content_id)
        if item.path:
            kind = item.kind if item.kind in {"link", "directory"} else "file"
            sha = item.content_id if item.kind == "file" else ""
            paths[item.path] = PathFacts(kind, f"{item.mode:04o}", "root", "root", sha, item.target, True)
    return HostState(
        name, arch="x86_64", os_id="debian", os_version="12", generation=host.digest, phases=dict(host.phase_digests),
        paths=paths, owned=owned, units={UNIT: GOOD}, users={"idler": frozenset({"idlers"})},
        existing=frozenset({FORMATION["mark"], "/var/lib/idle/member"}),
    )  # fmt: skip


def facts_of(tree: RenderedTree, name: str, **state: Any) -> HostFacts:
    return HostFacts(replace(state_of(tree, name), **state), {UNIT: 86400.0}, LISTENING)


def member(number: int, **more: Any) -> Member:
    return replace(Member(str(number), f"n{number}", f"10.0.0.{number}", status=MEMBER), **more)


def whole(tree: RenderedTree, hosts: Mapping[str, HostFacts] | None = None, **more: Any) -> Status:
    """A cluster in which all is as it should be, but for what the test says."""
    facts = {**{name: facts_of(tree, name) for name in tree.hosts}, **(hosts or {})}
    facts = {name: one for name, one in facts.items() if name not in more.get("unreachable", {})}
    count = len(tree.hosts)
    seen = Status(
        tree=tree, now=NOW, names=tuple(tree.hosts), hosts=facts, unreachable={},
        plan=make_plan(tree, {name: one.state for name, one in facts.items()}, now=NOW), formed=True,
        health=(Health("n1", "kube-scheduler"),),
        etcd=EtcdFacts("n1", tuple(member(number) for number in range(1, count + 1))),
        api=ApiFacts((Health("n1", "kube-apiserver"),),
                     tuple(Node(name, "", "v1.20.2", False) for name in tree.hosts)),
    )  # fmt: skip
    return replace(seen, **more)


def texts(status: Status, severity: str = "") -> list[str]:
    return [f"{one.host}: {one.text}" for one in findings(status) if severity in ("", one.severity)]


@pytest.fixture
def tree(tmp_path: Path) -> RenderedTree:
    return tree_of(tmp_path)


def test_all_as_it_should_be(tree: RenderedTree) -> None:
    status = whole(tree)
    assert texts(status) == [] and exit_code(findings(status)) == 0
    lines = status_lines(status, ())
    assert lines[0] == "demo: all as it should be (3 hosts)"
    assert any(line.startswith("  n1…3 (3 hosts)  as rendered, 1 of 1 units up, 2 ports open") for line in lines)
    assert "  nodes: 3 of 3 Ready, v1.20.2 on all" in lines and "  lock: free" in lines


@pytest.mark.parametrize(
    ("shown", "seconds", "text", "detail", "severity"),
    [
        (replace(GOOD, active="inactive", sub="dead"), 30.0, "idle.service is inactive (dead)", "for 30 s", "finding"),
        (replace(GOOD, active="failed", sub="failed", restarts=3), 300.0, "idle.service is failed (failed)",
         "for 5 min, restarted 3 times", "finding"),
        (UnitFacts(), None, "idle.service is not known to systemd", "", "finding"),
        (replace(GOOD, restarts=4), 60.0, "idle.service has restarted by itself", "4 times, up for 60 s", "warning"),
        (replace(GOOD, enabled="disabled"), 9e5, "it will not start after a reboot", "", "finding"),
        (replace(GOOD, enabled="masked"), 9e5, "idle.service is masked", "", "finding"),
        (replace(GOOD, needs_reload=True), 9e5, "systemd has not read", "", "finding"),
    ],
)  # fmt: skip
def test_units(
    tree: RenderedTree, shown: UnitFacts, seconds: float | None, text: str, detail: str, severity: str
) -> None:
    facts = replace(facts_of(tree, "n2", units={UNIT: shown}), seconds={UNIT: seconds} if seconds is not None else {})
    found = [one for one in findings(whole(tree, {"n2": facts})) if one.kind == "unit"]
    assert [(one.host, one.detail, one.severity) for one in found] == [("n2", detail, severity)]
    assert text in found[0].text


def test_a_unit_that_restarted_long_ago_is_no_matter(tree: RenderedTree) -> None:
    facts = facts_of(tree, "n2", units={UNIT: replace(GOOD, restarts=9)})
    assert texts(whole(tree, {"n2": facts})) == []


@pytest.mark.parametrize(
    ("one", "text", "severity"),
    [
        (Listening(9999, "0.0.0.0", "nc", 4, "session-1.scope"), "nc of session-1.scope listens on 0.0.0.0:9999: the"
         " port table does not name it", "finding"),
        (Listening(10251, "127.0.0.1", "idle", 4, UNIT), "idle of idle.service listens on 127.0.0.1:10251", "finding"),
        (Listening(8080, "127.0.0.1"), "a process that could not be made out listens on 127.0.0.1:8080", "finding"),
        (Listening(53, "127.0.0.53", "systemd-resolve", 4, "systemd-resolved.service"), "127.0.0.53:53", "warning"),
        (Listening(9100, "::", "node_exporter", 4, PODS), "node_exporter of a pod listens on [::]:9100", "warning"),
        (Listening(2379, "::", "idle", 9, UNIT), "idle is to listen on loopback only", "finding"),
        (Listening(2379, "127.0.0.1", "nc", 4, "session-1.scope"), "nc of session-1.scope holds port 2379, which"
         " belongs to idle", "finding"),
    ],
)  # fmt: skip
def test_listeners_that_should_not_be(tree: RenderedTree, one: Listening, text: str, severity: str) -> None:
    facts = replace(facts_of(tree, "n1"), listening=(*LISTENING, one))
    found = findings(whole(tree, {"n1": facts}))
    assert [(each.kind, each.severity) for each in found] == [("port", severity)]
    assert text in found[0].text


def test_a_udp_port_of_ours_is_nobody_elses_tcp_port(tree: RenderedTree) -> None:
    time = Port(123, 123, "udp", frozenset({"any"}), frozenset({"10.0.0.0/24"}), "time-sync", "time (NTP)")
    tree = replace(tree, ports={**tree.ports, "n1": (*tree.ports["n1"], time)})
    assert texts(whole(tree)) == []
    other = Listening(123, "0.0.0.0", "nc", 4, "session-1.scope")
    (found,) = findings(whole(tree, {"n1": replace(facts_of(tree, "n1"), listening=(*LISTENING, other))}))
    assert found.text == "nc of session-1.scope listens on 0.0.0.0:123: the port table does not name it"


def test_a_listener_on_another_network_card(tree: RenderedTree) -> None:
    wide = replace(tree.ports["n1"][-1], scopes=frozenset({"loopback", "address"}))
    assert wide.first == 2379
    hosts = {**tree.hosts, "n1": replace(tree.hosts["n1"], secondary="fd00::1")}
    tree = replace(tree, hosts=hosts, ports={**tree.ports, "n1": (*tree.ports["n1"][:-1], wide)})
    own = [Listening(2379, address, "idle", 9, UNIT) for address in tree.hosts["n1"].addresses]
    facts = replace(facts_of(tree, "n1"), listening=(*LISTENING, *own))
    assert texts(whole(tree, {"n1": facts})) == []
    public = Listening(2379, "203.0.113.9", "idle", 9, UNIT)
    (found,) = findings(whole(tree, {"n1": replace(facts, listening=(*facts.listening, public))}))
    assert "port 2379 on an address that the inventory does not give it: idle is to listen on" in found.text
    assert found.text.endswith("idle is to listen on the host's own address and loopback only")
    assert (found.severity, found.detail) == ("finding", "203.0.113.9, pid 9")


def test_a_listener_on_a_virtual_address(tree: RenderedTree) -> None:
    (own,) = (port for port in tree.ports["n1"] if port.first == 2379)
    virtual = replace(own, scopes=frozenset({"virtual"}))
    tree = replace(tree, ports={**tree.ports, "n1": (*tree.ports["n1"], virtual)})
    bound = Listening(2379, "10.0.0.100", "idle", 9, UNIT)
    facts = replace(facts_of(tree, "n1"), listening=(*LISTENING, bound))
    assert texts(whole(tree, {"n1": facts})) == []
    without = replace(facts, listening=LISTENING)
    expected = "n1: nobody listens on the virtual address at port 2379: idle is to (clients)"
    assert texts(whole(tree, {"n1": without})) == [expected]


def test_a_listener_on_an_address_of_the_program_alone(tree: RenderedTree) -> None:
    (own,) = (port for port in tree.ports["n1"] if port.first == 2379)
    local = replace(own, first=53, last=53, scopes=frozenset({"local"}))
    tree = replace(tree, ports={**tree.ports, "n1": (*tree.ports["n1"], local)})
    bound = Listening(53, "169.254.20.10", "idle", 9, UNIT)
    facts = replace(facts_of(tree, "n1"), listening=(*LISTENING, bound))
    assert texts(whole(tree, {"n1": facts})) == []
    expected = "n1: nobody listens on an address of its own at port 53: idle is to (clients)"
    assert texts(whole(tree, {"n1": replace(facts, listening=LISTENING)})) == [expected]
    on_loopback = replace(facts, listening=(*LISTENING, replace(bound, address="127.0.0.1")))
    assert any("idle is to listen on an address of its own only" in text for text in texts(
        whole(tree, {"n1": on_loopback})
    ))  # fmt: skip


def test_a_port_that_nobody_serves(tree: RenderedTree) -> None:
    facts = replace(facts_of(tree, "n3"), listening=LISTENING[:1])
    assert texts(whole(tree, {"n3": facts})) == ["n3: nobody listens on loopback at port 2379: idle is to (clients)"]


@pytest.mark.parametrize(
    ("days", "life", "rotates", "severity", "text"),
    [
        (-1, 365, False, "finding", "has ended; run `invoke certs.renew`"),
        (-1, 365, True, "finding", "has ended; see the kubelet's journal"),
        (20, 365, False, "warning", "ends soon; run `invoke certs.renew`"),
        (20, 365, True, "", ""),
        (15, 365, True, "warning", "the kubelet has not renewed it"),
        (40, 365, False, "", ""),
    ],
)
def test_certificates(tree: RenderedTree, days: int, life: int, rotates: bool, severity: str, text: str) -> None:
    ends = NOW + timedelta(days=days)
    one = Certificate("CN=x", ends - timedelta(days=life), ends, rotates)
    found = findings(whole(tree, {"n1": replace(facts_of(tree, "n1"), certificates={"/etc/x.crt": one})}))
    assert [each.severity for each in found] == ([severity] if severity else [])
    assert exit_code(found) == (2 if severity == "finding" else 0)
    assert not found or (text in found[0].text and "/etc/x.crt" in found[0].text)


def test_certificates_that_are_none_and_not_there(tree: RenderedTree) -> None:
    facts = replace(facts_of(tree, "n1"), unreadable=("/etc/a.crt",), absent=("/var/lib/kubelet/pki/x.pem",))
    assert [text.partition(";")[0] for text in texts(whole(tree, {"n1": facts}))] == [
        "n1: /etc/a.crt is no certificate", "n1: there is no certificate at /var/lib/kubelet/pki/x.pem",
    ]  # fmt: skip


def test_drift_debts_and_runs_that_were_cut_off(tree: RenderedTree) -> None:
    state = state_of(tree, "n1")
    edited = replace(state.paths["/etc/idle/idle.conf"], sha256="0" * 64, as_installed=False)
    hosts = {
        "n1": facts_of(tree, "n1", paths={**state.paths, "/etc/idle/idle.conf": edited}),
        "n2": facts_of(tree, "n2", phases={"host-base": tree.hosts["n2"].phase_digests["host-base"]}, generation=""),
        "n3": facts_of(tree, "n3", pending={UNIT: "restart", ".daemon-reload": "restart"}, cordoned=True),
    }
    assert texts(whole(tree, hosts)) == [
        "n1: 1 thing is not as rendered; `invoke plan` shows what",
        "n2: a run did not get through runtime here; run `invoke apply`",
        "n3: a restart of idle.service is still owed from a run that was cut off; run `invoke apply`",
        "n3: a run has cordoned its node and not come to its end; run `invoke apply`",
    ]


def test_another_kernel_than_the_installed_one_is_a_warning(tree: RenderedTree) -> None:
    tree = replace(tree, hosts={name: replace(host, kernel="newest") for name, host in tree.hosts.items()})
    hosts = {
        "n1": facts_of(tree, "n1", kernel=Kernel("6.1.0-9-amd64", "boot", ("6.1.0-9-amd64", "6.1.0-39-amd64"))),
        "n2": facts_of(tree, "n2", kernel=Kernel("6.1.0-39-amd64", "boot", ("6.1.0-9-amd64", "6.1.0-39-amd64"))),
    }
    found = findings(whole(tree, hosts))
    assert [(one.kind, one.host, one.severity, one.text) for one in found if one.kind == "kernel"] == [
        ("kernel", "n1", "warning",
         "kernel 6.1.0-9-amd64 runs, 6.1.0-39-amd64 is installed and to run; run `invoke hosts.reboot`"),
    ]  # fmt: skip


def test_bare_unreachable_and_wrong_hosts(tree: RenderedTree) -> None:
    hosts = {
        "n1": facts_of(tree, "n1", generation="", phases={}, units={}),
        "n3": facts_of(tree, "n3", os_version="11", clock_ahead=-90.0),
    }
    found = texts(whole(tree, hosts, unreachable={"n2": "demo/n2: ssh: it cannot be reached; check it"}))
    assert found == [
        "n1: nothing was ever applied here; run `invoke apply`",
        "n2: ssh: it cannot be reached; check it",
        "n3: it runs debian-11, pool workers says debian-12",
        "n3: its clock is 90 s away from this machine's, certificates would not be valid",
    ]


def test_a_clock_that_is_a_little_wrong_is_a_warning(tree: RenderedTree) -> None:
    assert texts(whole(tree, {"n1": facts_of(tree, "n1", clock_ahead=1.0)})) == []
    assert len(texts(whole(tree, {"n1": facts_of(tree, "n1", clock_ahead=9.0)}), "warning")) == 1


def test_an_emptied_member_is_named(tree: RenderedTree) -> None:
    facts = facts_of(tree, "n2", existing=frozenset({FORMATION["mark"]}))
    found = [one for one in findings(whole(tree, {"n2": facts})) if one.kind == "etcd-data"]
    assert [one.host for one in found] == ["n2"] and "as a member it must be replaced" in found[0].text


def test_a_limit_judges_its_hosts_only(tree: RenderedTree) -> None:
    hosts = {name: facts_of(tree, name, units={UNIT: replace(GOOD, active="failed")}) for name in ("n1", "n2")}
    status = whole(tree, hosts, names=("n2",))
    assert [one.host for one in findings(status)] == ["n2"]
    assert "n1" not in status_document(status, findings(status))["hosts"]


def etcd_texts(tree: RenderedTree, *members: Member, **more: Any) -> list[str]:
    return texts(whole(tree, etcd=EtcdFacts("n1", members, **more)))


def test_members_that_are_missing_and_members_that_nobody_wrote_down(tree: RenderedTree) -> None:
    stranger = replace(member(9), address="10.9.9.9", name="ghost")
    assert etcd_texts(tree, member(1), member(2), stranger) == [
        ": etcd has a member ghost at 10.9.9.9 that the inventory does not know",
        "n3: etcd does not know it as a member; the inventory does",
    ]
    assert etcd_texts(tree, member(1), member(2), member(3, name="", status=None)) == [
        "n3: its member was added and never started"
    ]


def test_sick_members(tree: RenderedTree) -> None:
    slow = replace(MEMBER, raft_applied=100, raft_index=5000)
    assert etcd_texts(tree, member(1), member(2), member(3, status=None)) == [
        "n3: its etcd member does not answer; see `journalctl -u etcd.service` there"
    ]
    assert any(
        "far behind" in text
        for text in etcd_texts(tree, member(1, status=replace(MEMBER, raft_index=5000, raft_applied=5000)), member(2),
                               member(3, status=slow))
    )  # fmt: skip
    full = [text for text in etcd_texts(tree, member(1, alarms=("NOSPACE",)), member(2), member(3))]
    assert full == ["n1: its etcd member has raised NOSPACE: it takes no more writes; compact, defragment and disarm"]
    assert "fills most of" in etcd_texts(tree, member(1), member(2), member(3), quota=1_000_000)[0]
    assert etcd_texts(tree, *(member(n, status=replace(MEMBER, leader=str(n))) for n in (1, 2, 3))) == [
        ": the members of etcd do not agree on a leader; see their journals"
    ]
    assert etcd_texts(tree, trouble="n1: etcdctl cannot list the members (x)") == [
        ": etcd does not answer: n1: etcdctl cannot list the members (x)"
    ]


def test_health_with_the_failing_checks_by_name(tree: RenderedTree) -> None:
    body = (
        "[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/rbac/bootstrap-roles failed: x\nreadyz failed\n"
    )
    server = readiness("n2", 500, body)
    assert readiness("n2", 200, "ok").good
    status = whole(
        tree, health=(Health("n1", "kube-scheduler", "127.0.0.1:10259 does not answer"),),
        api=replace(whole(tree).api or ApiFacts(), servers=(server,)),
    )  # fmt: skip
    assert texts(status) == [
        "n1: kube-scheduler is not healthy: 127.0.0.1:10259 does not answer",
        "n2: kube-apiserver is not ready: it answers 500 on /readyz; failing checks: etcd,"
        " poststarthook/rbac/bootstrap-roles",
    ]


def test_nodes(tree: RenderedTree) -> None:
    nodes = (
        Node("n1", "KubeletNotReady: no network", "v1.20.2", False),
        Node("n2", "", "v1.19.0", True),
        Node("ghost-1", "", "v1.20.2", False),
    )
    status = whole(tree, api=ApiFacts((), nodes))
    assert texts(status, "finding") == [
        ": the API has nodes that the inventory does not know: ghost-1",
        "n1: its node is not Ready: KubeletNotReady: no network",
        "n3: the API has no node of it; run `invoke apply`",
    ]
    assert texts(status, "warning") == [
        "n2: its node is cordoned: no new pod comes to it", "n2: its kubelet is v1.19.0, the spec says v1.20.2",
    ]  # fmt: skip
    lines = status_lines(status, findings(status))
    assert "  nodes: 2 of 3 Ready, v1.19.0 on n2; v1.20.2 on ghost-1, n1; cordoned: n2" in lines


def test_requests(tree: RenderedTree) -> None:
    serving, user = "kubernetes.io/kubelet-serving", "system:node:n1"
    requests = (
        *(
            Request(f"csr-{n}", serving, user, "pending", "subject or names are not those", 60.0 * n)
            for n in range(1, 6)
        ),
        Request("csr-d", serving, user, "denied", "by hand: no", 10),
        Request("csr-w", "kubernetes.io/kube-apiserver-client-kubelet", "system:bootstrap:x", "pending", "", 9),
        Request("csr-o", "kubernetes.io/kube-apiserver-client-kubelet", "system:bootstrap:y", "pending", "", 900),
    )
    found = findings(whole(tree, api=replace(whole(tree).api or ApiFacts(), requests=requests)))
    assert [(one.severity, one.text.partition(" for a certificate")[0]) for one in found] == [
        ("finding", "1 request of system:node:n1"),
        ("finding", "1 request of system:bootstrap:y"),
        ("finding", "5 requests of system:node:n1"),
        ("warning", "1 request of system:bootstrap:x"),
    ]
    assert found[2].text.endswith(": subject or names are not those (csr-1, csr-2, csr-3 and 2 more)")


def test_requests_as_the_api_gives_them() -> None:
    def request(signer: str, conditions: list[dict[str, str]] | None = None, **status: Any) -> dict[str, Any]:
        return {
            "metadata": {"name": "csr-abc", "creationTimestamp": "2026-05-31T23:59:00Z"},
            "spec": {"signerName": signer, "username": "system:node:n1", "request": "x"},
            "status": {**({"conditions": conditions} if conditions else {}), **status},
        }

    approved, denied = {"type": "Approved"}, {"type": "Denied", "reason": "Mallory", "message": "not mine"}
    serving = "kubernetes.io/kubelet-serving"
    assert request_from(request(serving, [approved], certificate="x"), {}, NOW) is None
    granted = request_from(request(serving, [approved]), {}, NOW)
    assert granted is not None and (granted.state, granted.reason, granted.age) == ("pending", "", 60.0)
    refused = request_from(request(serving, [denied]), {}, NOW)
    assert refused is not None and (refused.state, refused.reason) == ("denied", "Mallory: not mine")
    forged = request_from(request(serving), {}, NOW)
    assert forged is not None and forged.reason == "system:node:n1 is no node of the rendered list"
    other = request_from(request("example.net/own"), {}, NOW)
    assert other is not None and "nobody here approves" in other.reason


def test_what_could_not_be_looked_at_is_no_finding(tree: RenderedTree) -> None:
    status = whole(tree, api=ApiFacts(unseen="no credentials: there is no identity"))
    assert texts(status) == []
    lines = status_lines(status, ())
    assert lines[0] == "demo: all as it should be (3 hosts, the API not looked at)"
    assert "  API: not looked at: no credentials: there is no identity" in lines


def test_a_cluster_that_has_not_formed(tree: RenderedTree) -> None:
    bare = {name: facts_of(tree, name, generation="", phases={}, units={}) for name in tree.hosts}
    assert texts(whole(tree, bare, formed=False, etcd=None, api=None, health=())) == [
        f"n{n}: nothing was ever applied here; run `invoke apply`" for n in (1, 2, 3)
    ]
    assert texts(whole(tree, formed=False, etcd=None, api=None, health=())) == [
        ": etcd has not formed; run `invoke apply`"
    ]


def test_hundreds_of_hosts_with_one_fault_are_one_line(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, 300)
    down = replace(GOOD, active="failed", sub="failed")
    hosts = {}
    for number in range(1, 301):
        facts = facts_of(tree, f"n{number}", units={UNIT: down} if number > 100 else {UNIT: GOOD})
        hosts[f"n{number}"] = replace(facts, seconds={UNIT: 60.0 * number})
    status = whole(tree, hosts)
    lines = status_lines(status, findings(status))
    assert lines[0] == "demo: 200 findings (300 hosts)"
    assert len([line for line in lines if "idle.service is failed" in line]) == 1
    assert any(line.startswith("  n101…300: idle.service is failed (failed)") for line in lines)
    assert len(lines) < 320


def test_the_document_is_plain_values_and_says_what_it_saw(tree: RenderedTree) -> None:
    ends = NOW + timedelta(days=90)
    facts = replace(
        facts_of(tree, "n1"), certificates={"/etc/x.crt": Certificate("CN=x", NOW, ends, False)},
        seconds={UNIT: 12.5},
    )  # fmt: skip
    status = whole(tree, {"n1": facts}, unreachable={"n3": "demo/n3: ssh: x"}, lock="me@here")
    found = findings(status)
    document = json.loads(json.dumps(status_document(status, found)))
    assert list(document) == [
        "cluster", "time", "exit", "findings", "hosts", "formed", "health", "etcd", "backup", "api", "lock", "journal",
    ]  # fmt: skip
    assert document["exit"] == 2 and document["time"] == "2026-06-01T00:00:00+00:00"
    assert document["findings"][0] == {
        "severity": "finding", "kind": "unreachable", "host": "n3", "text": "ssh: x", "detail": "",
    }  # fmt: skip
    first = document["hosts"]["n1"]
    assert first["units"] == {
        UNIT: {"active": "active", "sub": "running", "enabled": "enabled", "restarts": 0, "seconds": 12}
    }
    assert first["ports"][1] == {"port": 2379, "address": "127.0.0.1", "process": "idle", "pid": 9, "unit": UNIT}
    assert first["certificates"]["/etc/x.crt"]["notAfter"] == "2026-08-30T00:00:00+00:00"
    assert document["hosts"]["n3"] == {"reachable": False, "trouble": "demo/n3: ssh: x"}
    assert document["etcd"]["leader"] == "n1" and document["etcd"]["members"][0]["dbSizeInUse"] == 500_000


def test_the_long_text_names_every_unit_port_and_certificate(tree: RenderedTree) -> None:
    one = Certificate("CN=x", NOW, NOW + timedelta(days=90), False)
    status = whole(tree, {"n1": replace(facts_of(tree, "n1"), certificates={"/etc/x.crt": one})})
    text = "\n".join(status_lines(status, (), verbose=True))
    assert "idle.service                       active (running)" in text and "0 restarts" in text
    assert "127.0.0.1:2379" in text and "idle: clients" in text
    assert "2026-08-30 00:00 UTC (in 90 d)" in text


@pytest.mark.parametrize(
    ("days", "severity", "text"),
    [
        (40, "", ""),
        (20, "warning", "the certificate addons/metrics-server ends soon; run `invoke certs.renew`, render and apply"),
        (-1, "finding", "the certificate addons/metrics-server has ended; run `invoke certs.renew`, render and apply"),
    ],
)
@pytest.mark.parametrize("quote", ["", "'"])
def test_certificates_of_addons(tree: RenderedTree, quote: str, days: int, severity: str, text: str) -> None:
    end = f"{quote}{NOW + timedelta(days=days, minutes=1):%Y-%m-%dT%H:%M:%SZ}{quote}"
    entries = [
        f"- {{name: {name}, notAfter: {end}}}" for name in ("ca", "addons/metrics-server", "hosts/cp1/apiserver")
    ]
    (tree.path / "pki.yaml").write_text("\n".join(["certificates:", *entries, "- {name: addons/typha, days: 365}"]))
    found = [one for one in findings(whole(tree)) if one.kind == "certificate"]
    assert [(one.severity, one.text, one.host) for one in found] == ([(severity, text, "")] if text else [])


def recorded(tree: str) -> Recorded:
    return Recorded(tree, "b" * 40, True, "ann@desk", "2026-05-30T10:20:30+00:00", "r1", ("n3",))


def test_a_tree_that_is_not_this_one_is_a_finding_with_who_applied_it(tree: RenderedTree) -> None:
    api = replace(whole(tree).api or ApiFacts(), applied=recorded(tree.digest))
    status = whole(tree, api=api)
    assert texts(status) == []
    here = f"  applied: tree {tree.digest[:12]} (commit bbbbbbbbbbbb) by ann@desk, 2026-05-30 10:20, without n3"
    assert here in status_lines(status, ())
    other = whole(tree, api=replace(api, applied=recorded("c" * 64)))
    (found,) = findings(other)
    assert (found.kind, found.severity, found.detail) == ("tree", "finding", "2026-05-30 10:20")
    assert "ann@desk applied tree cccccccccccc (commit bbbbbbbbbbbb); run `invoke plan`" in found.text
    assert status_document(other, (found,))["api"]["applied"] == {
        "tree": "c" * 64, "commit": "b" * 40, "committed": True, "operator": "ann@desk",
        "time": "2026-05-30T10:20:30+00:00", "run": "r1", "leftOut": ["n3"],
    }  # fmt: skip
    none = whole(tree)
    assert texts(none) == [] and status_document(none, ())["api"]["applied"] is None
    assert "  applied: no apply through all phases is recorded" in status_lines(none, ())


def test_sets_that_nobody_has_seen_run_are_a_finding(tree: RenderedTree) -> None:
    status = whole(tree, api=replace(whole(tree).api or ApiFacts(), unfinished=("30-coredns",)))
    assert texts(status) == [": a run changed 30-coredns and did not see it run; run `invoke apply`"]
    assert status_document(status, ())["api"]["unfinishedSets"] == ["30-coredns"]


SETTINGS = "state /var/lib/slipway/etcd-backup\nperiod 86400\n"


def backed_up(tree: RenderedTree, *backups: Backup | None) -> Status:
    """A cluster whose hosts make backups every day, each with what it knows of its own."""
    item = replace(
        next(item for item in tree.hosts["n1"].items if item.kind == "file"),
        path="/etc/etcd-backup/settings", content=SETTINGS.encode(),
    )  # fmt: skip
    hosts = {name: replace(host, items=(*host.items, item)) for name, host in tree.hosts.items()}
    seen = whole(tree)
    facts = {name: replace(one, backup=backup) for (name, one), backup in zip(seen.hosts.items(), backups, strict=True)}
    return replace(seen, tree=replace(tree, hosts=hosts), hosts=facts)


def good(hours: float) -> Good:
    return Good(NOW - timedelta(hours=hours), 812, 40960, "etcd-demo-x-812.db")


def told(status: Status) -> list[tuple[str, str, str]]:
    return [(one.severity, one.text, one.detail) for one in findings(status) if one.kind == "backup"]


def test_a_backup_is_judged_by_the_newest_of_all_hosts(tree: RenderedTree) -> None:
    assert told(backed_up(tree, Backup(good(400)), Backup(good(47)), Backup())) == []
    (one,) = told(backed_up(tree, Backup(good(400)), Backup(good(49)), Backup()))
    assert one == ("finding", "the last good snapshot of etcd is older than two schedules", "made 2 d ago")


def test_a_failed_backup_is_told_with_its_reason(tree: RenderedTree) -> None:
    failed = Backup(good(20), Failure(NOW - timedelta(hours=1), "the target is full"))
    assert told(backed_up(tree, failed, Backup(), Backup())) == [
        ("warning", "the last backup of etcd failed", "n1: the target is full")
    ]
    late = Backup(None, Failure(NOW - timedelta(hours=1), "no member of etcd is healthy"))
    (one,) = told(backed_up(tree, late, Backup(), Backup(good(60))))
    assert one[0] == "finding" and one[2] == "made 2 d ago; n1: no member of etcd is healthy"
    (never,) = told(backed_up(tree, late, Backup(), Backup()))
    assert never[:2] == ("finding", "there is no good snapshot of etcd yet")


def test_a_first_backup_that_is_still_to_come_is_a_warning(tree: RenderedTree) -> None:
    (one,) = told(backed_up(tree, Backup(), Backup(), Backup()))
    assert one[0] == "warning"
    assert told(whole(tree)) == [], "nobody asked for backups"


def test_the_document_has_the_last_good_backup(tree: RenderedTree) -> None:
    failed = Backup(good(20), Failure(NOW, "the target is full"))
    found = status_document(backed_up(tree, failed, Backup(good(2)), Backup()), ())["backup"]
    assert found["lastGood"] == {
        "time": "2026-05-31T22:00:00+00:00", "name": "etcd-demo-x-812.db", "revision": 812, "size": 40960,
        "ageSeconds": 7200,
    }  # fmt: skip
    assert found["failures"] == {"n1": {"time": "2026-06-01T00:00:00+00:00", "reason": "the target is full"}}
    assert status_document(whole(tree), ())["backup"] is None


def test_what_a_host_wrote_is_read(tree: RenderedTree) -> None:
    lines = (
        ("slipway", "1"), ("backup-good", "20260531T011000Z 812 4242 40960 etcd-demo-x-812.db.age"),
        ("backup-failure", "20260601T011000Z /srv cannot be written: is it mounted"),
    )  # fmt: skip
    status = backed_up(tree, Backup(), Backup(), Backup())
    found = facts_from(status.tree, state_of(tree, "n1"), lines).backup
    assert found is not None and found.good is not None and found.failure is not None
    assert (found.good.revision, found.good.size, found.good.name) == (812, 40960, "etcd-demo-x-812.db.age")
    assert found.failed and found.failure.reason == "/srv cannot be written: is it mounted"
    assert b"backup\t/var/lib/slipway/etcd-backup\n" in inquiry(status.tree, status.tree.hosts["n1"])
    with pytest.raises(HostError, match="not understood"):
        facts_from(status.tree, state_of(tree, "n1"), (("slipway", "1"), ("backup-good", "yesterday")))
