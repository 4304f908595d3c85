"""What `invoke status` and the port table say of a running cluster, judged by ss and systemd on the hosts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from tests.lab.cluster_under_test import Completed, LabCluster, until

pytestmark = pytest.mark.lab

NEVER = (8080, 10251, 10252, 10255)
"""Ports without TLS or without questions, of older versions or other installers."""


def hosts_of(lab: LabCluster) -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load((lab.rendered / "inventory.yaml").read_text())["hosts"]
    return found


def open_ports(lab: LabCluster, host: str) -> dict[int, set[str]]:
    """The listening TCP ports of a host and the addresses that they are bound to, as ss has them."""
    found: dict[int, set[str]] = {}
    for line in lab.sh(host, "ss -Hltn").splitlines():
        address, _, port = line.split()[3].rpartition(":")
        found.setdefault(int(port), set()).add(address.strip("[]").partition("%")[0])
    return found


def table_of(lab: LabCluster, host: str) -> list[dict[str, Any]]:
    table = yaml.safe_load((lab.rendered / "ports.yaml").read_text())
    own = lab.rendered / "hosts" / host / "ports.yaml"
    entries = yaml.safe_load(own.read_text())["ports"] if own.exists() else table["pools"][hosts_of(lab)[host]["pool"]]
    return [{**entry, "port": 22} if entry["port"] == "ssh" else entry for entry in (*table["everyHost"], *entries)]


def named(entry: Mapping[str, Any], port: int) -> bool:
    first, _, last = str(entry["port"]).partition("-")
    return int(first) <= port <= int(last or first)


def bound(entry: Mapping[str, Any], addresses: set[str], own: str) -> bool:
    """Whether what ss shows is bound as the table says; an address of one scope only where that scope is named."""
    if "any" in entry["listens"]:
        return True
    allowed = {"loopback": {"127.0.0.1", "::1"}, "address": {own}}
    return addresses <= set().union(*(allowed[scope] for scope in entry["listens"]))


def status(lab: LabCluster, *words: str) -> tuple[int, dict[str, Any]]:
    done: Completed = lab.invoke("status", "--json", *words)
    assert done.returncode in (0, 2), done.stderr
    document = json.loads(done.stdout)
    assert document["exit"] == done.returncode
    return done.returncode, document


def finds(lab: LabCluster, host: str, words: str) -> Callable[[], bool]:
    """Whether a status exits 2 and has a finding of a host ("": the cluster) that fits a pattern."""

    def found() -> bool:
        code, document = status(lab)
        texts = [one["text"] for one in document["findings"] if one["host"] == host and one["severity"] == "finding"]
        return code == 2 and any(re.search(words, text) for text in texts)

    return found


def healthy(lab: LabCluster) -> bool:
    code, document = status(lab)
    print(document["findings"])
    return code == 0


def test_a_healthy_cluster_is_all_as_it_should_be(lab: LabCluster) -> None:
    until(lambda: healthy(lab), 180)
    _, document = status(lab)
    assert set(document["hosts"]) == set(hosts_of(lab))
    assert document["etcd"]["leader"] and {one["name"] for one in document["etcd"]["members"]} == {
        host for host, entry in hosts_of(lab).items() if entry["pool"] == "control"
    }
    assert all(one["ready"] for one in document["api"]["servers"]) and len(document["api"]["servers"]) == len(
        document["etcd"]["members"]
    )
    assert all(one["healthy"] for one in document["health"]) and len(document["health"]) == 2 * len(
        document["api"]["servers"]
    )
    assert all(one["ready"] for one in document["api"]["nodes"])
    assert document["lock"] == "" and document["journal"]
    for host, entry in document["hosts"].items():
        assert entry["generation"] == entry["rendered"], host
        client = "/var/lib/kubelet/pki/kubelet-client-current.pem"
        assert {client, client.replace("client", "server"), "/etc/kubernetes/pki/ca.crt"} <= set(entry["certificates"])


def test_the_expiry_that_status_tells_is_that_of_the_certificate(lab: LabCluster) -> None:
    _, document = status(lab)
    host = min(document["hosts"])
    for path, entry in document["hosts"][host]["certificates"].items():
        ends = lab.sh(host, f"openssl x509 -noout -enddate -dateopt iso_8601 -in {path}").strip().partition("=")[2]
        assert ends.replace(" ", "T").replace("Z", "+00:00") == entry["notAfter"], path


def test_nothing_listens_that_the_port_table_does_not_name(lab: LabCluster) -> None:
    for host, entry in hosts_of(lab).items():
        table, found = table_of(lab, host), open_ports(lab, host)
        for port, addresses in found.items():
            lines = [line for line in table if named(line, port)]
            assert lines, f"{host}: {port} on {addresses} is not in the port table"
            assert any(bound(line, addresses, entry["address"]) for line in lines), f"{host}: {port} is on {addresses}"
        for line in table:
            assert "-" in str(line["port"]) or line["port"] in found, f"{host}: nobody listens on {line['port']}"
        assert not set(NEVER) & set(found), host
        if entry["pool"] == "control":
            assert 6443 in found


def test_status_sees_the_ports_that_ss_sees(lab: LabCluster) -> None:
    _, document = status(lab)
    for host, entry in document["hosts"].items():
        seen: dict[int, set[str]] = {}
        for one in entry["ports"]:
            seen.setdefault(one["port"], set()).add(one["address"])
            assert one["process"], f"{host}: nobody knows who holds {one['port']}"
        of_ss = {
            port: {"::" if address == "*" else address for address in some}
            for port, some in open_ports(lab, host).items()
        }
        assert {port: some for port, some in seen.items() if port < 30000} == {
            port: some for port, some in of_ss.items() if port < 30000
        }


def test_a_stopped_unit_is_found_with_what_it_no_longer_serves(lab: LabCluster) -> None:
    host = next(name for name, entry in hosts_of(lab).items() if entry["pool"] == "control")
    lab.sh(host, "systemctl stop kube-scheduler.service")
    try:
        until(finds(lab, host, r"kube-scheduler\.service is inactive \(dead\)"), 60)
        assert finds(lab, host, r"nobody listens on loopback at port 10259: kube-scheduler is to")()
        assert finds(lab, host, r"kube-scheduler is not healthy: 127\.0\.0\.1:10259 does not answer")()
        told = lab.invoke("status")
        assert told.returncode == 2 and re.search(
            rf"  {host}: kube-scheduler\.service is inactive \(dead\).* \(for ", told.stdout
        )
    finally:
        lab.sh(host, "systemctl start kube-scheduler.service")
    until(lambda: healthy(lab), 120)


def test_an_extra_listener_is_found_and_named(lab: LabCluster) -> None:
    host = next(name for name, entry in hosts_of(lab).items() if entry["pool"] == "workers")
    lab.sh(host, "systemd-run --quiet --unit=stranger socat TCP6-LISTEN:9999,fork,reuseaddr EXEC:/bin/true")
    try:
        words = r"socat of stranger\.service listens on (\[::\]|0\.0\.0\.0):9999: the port table does not name it"
        until(finds(lab, host, words), 60)
    finally:
        lab.sh(host, "systemctl stop stranger.service")
    until(lambda: healthy(lab), 60)


def test_forged_requests_are_found_with_the_reason(lab: LabCluster) -> None:
    node = next(name for name, entry in hosts_of(lab).items() if entry["pool"] == "workers")
    names = lab.create_forged_csrs(node)
    try:
        code, document = status(lab)
        assert code == 2
        pending = {one["name"]: one for one in document["api"]["requests"] if one["state"] == "pending"}
        assert set(names) <= set(pending)
        assert all(pending[name]["reason"] for name in names)
        assert finds(lab, "", rf"of system:node:{node} for a certificate stays pending: subject or names are not")()
    finally:
        lab.kubectl("delete", "csr", *names)
    until(lambda: healthy(lab), 60)


def test_a_host_that_does_not_answer_is_a_finding_among_others(lab: LabCluster) -> None:
    host = next(name for name, entry in hosts_of(lab).items() if entry["pool"] == "workers")
    lab.sh(
        host, "systemd-run --quiet --on-active=1 --unit=away sh -c 'systemctl stop ssh; sleep 40; systemctl start ssh'"
    )
    until(finds(lab, host, "ssh: "), 60)
    _, document = status(lab)
    others = [name for name in document["hosts"] if name != host]
    assert all(document["hosts"][name]["reachable"] for name in others)
    until(lambda: healthy(lab), 180)


def test_without_an_identity_the_hosts_decide(lab: LabCluster) -> None:
    done = lab.invoke("status", environment={"SLIPWAY_IDENTITY": "/nonexistent"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "API: not looked at: no credentials" in done.stdout
