"""Facts of hosts in, findings out: what counts, in which words, and how many hosts are told together."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fleet.kernels import Kernel
from fleet.ports import Port
from fleet.state import UnitFacts
from fleet.status.document import status_document
from fleet.status.findings import exit_code, findings
from fleet.status.host_facts import Certificate
from fleet.status.listening import PODS, Listening
from fleet.status.text import status_lines
from fleet.tree import RenderedTree
from tests.fleet.status_facts import (
    FORMATION,
    GOOD,
    LISTENING,
    NOW,
    UNIT,
    facts_of,
    state_of,
    texts,
    tree_of,
    whole,
)


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
