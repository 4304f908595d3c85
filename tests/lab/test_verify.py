"""`invoke verify` on a running cluster: all is well, each fault is named with its cause, and nothing is left behind.

Hosts that later tests have added are not asked: the tests name those that the bring-up made.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from lab.lab import Lab
from tests.lab.cluster_under_test import REPOSITORY, LabCluster, until
from tests.lab.session import environment

pytestmark = pytest.mark.lab

PKI = "/etc/kubernetes/pki"
Outcomes = dict[str, str]


def hosts(lab: LabCluster) -> str:
    return ",".join((*lab.control, *lab.workers))


def verified(lab: LabCluster, *words: str, expected: int) -> dict[str, Any]:
    """The report of a run, which must end with the expected status."""
    done = lab.invoke("verify", "--limit", hosts(lab), "--json", *words)
    assert done.returncode == expected, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def outcomes(report: dict[str, Any]) -> Outcomes:
    return {check["name"]: check["outcome"] for check in report["checks"]}


def findings(report: dict[str, Any], check: str) -> list[tuple[str, str]]:
    """Subject and cause of what a check found."""
    return [
        (one["subject"], one["cause"])
        for entry in report["checks"]
        if entry["name"] == check
        for one in entry["findings"]
    ]


def namespaces(lab: LabCluster) -> list[str]:
    found = lab.kubectl_json("get", "namespaces", "-l", "slipway.io/purpose=verify")["items"]
    return [one["metadata"]["name"] for one in found]


def test_a_good_cluster_passes_and_nothing_is_left(lab: LabCluster) -> None:
    report = verified(lab, "--all-nodes", expected=0)
    found = outcomes(report)
    assert found.pop("dns") == "skipped"
    assert set(found.values()) == {"passed"}, report
    assert len(found) == 12
    looked = {check["name"]: check["lookedAt"] for check in report["checks"]}
    nodes = len(lab.control) + len(lab.workers)
    assert looked["pods"] == f"{nodes} of {nodes} nodes"
    assert namespaces(lab) == []


def test_each_fault_is_named_with_its_cause(lab: LabCluster) -> None:
    first, worker = lab.control[0], lab.workers[-1]
    with stopped(lab, worker, "kube-proxy.path", "kube-proxy.service"), replaced(lab, first), bound_too_far(lab):
        report = verified(lab, expected=2)
    found = outcomes(report)
    assert {name for name, outcome in found.items() if outcome == "failed"} == {
        "certificates", "listeners", "rights", "service", "node-port",
    }, report  # fmt: skip
    assert {subject for subject, _ in findings(report, "service")} == {worker}
    assert any(worker in subject + cause for subject, cause in findings(report, "node-port"))
    expected = {
        f"apiserver ({PKI}/apiserver.crt) names IP:192.0.2.1, the host has IP:{lab.addresses[first]}",
        f"scheduler ({PKI}/scheduler.crt) expired 3 days ago",
        f"scheduler ({PKI}/scheduler.crt) is signed by another CA, which has the name of ours (CN=kubernetes)",
    }
    causes = [cause for subject, cause in findings(report, "certificates") if subject == first]
    for words in expected:
        assert any(words in cause for cause in causes), (words, causes)
    served = [cause for subject, cause in findings(report, "listeners") if subject == first]
    assert any("kube-scheduler on port 10259 serves another certificate" in cause for cause in served), served
    rights = findings(report, "rights")
    assert {subject for subject, _ in rights} == {"csr-approver"}
    assert any("may get secrets in kube-system, which it must not" in cause for _, cause in rights)
    assert any("slipway-verify-too-far" in cause for _, cause in rights)
    assert namespaces(lab) == []
    again = verified(lab, "--only", "certificates,listeners,rights,service,node-port", expected=0)
    assert set(outcomes(again).values()) == {"passed"}


@pytest.mark.lab_long
def test_a_run_that_is_ended_takes_its_namespace_away(lab: LabCluster) -> None:
    with running(lab) as run:
        until(lambda: bool(namespaces(lab)), 60)
        run.send_signal(signal.SIGTERM)
        _, words = run.communicate(timeout=150)
    assert run.returncode == 130, words
    assert namespaces(lab) == []


@pytest.mark.lab_long
def test_the_next_run_removes_what_a_killed_one_left_and_spares_one_that_lives(lab: LabCluster) -> None:
    with running(lab) as run:
        until(lambda: bool(namespaces(lab)), 60)
        run.kill()
        run.communicate(timeout=10)
    (left,) = namespaces(lab)
    lives = "slipway-verify-lives"
    lab.kubectl("apply", stdin=yaml.safe_dump(namespace_of_this_process(lab, lives, like=left)))
    try:
        report = verified(lab, "--only", "logs", expected=0)
        assert set(outcomes(report)) == {"pods", "logs", "cleanup"}
        until(lambda: namespaces(lab) == [lives], 90)
    finally:
        lab.kubectl("delete", "namespace", lives)


@contextmanager
def stopped(lab: LabCluster, host: str, *units: str) -> Iterator[None]:
    lab.sh(host, f"systemctl stop {' '.join(units)}")
    try:
        yield
    finally:
        lab.sh(host, f"systemctl start {' '.join(units)}")


@contextmanager
def replaced(lab: LabCluster, host: str) -> Iterator[None]:
    """Two certificates of a host are others: one with a wrong address, one expired and of a stranger's CA.

    Neither fits the key beside it, so the programs, which read them anew, keep what they have.
    """
    names = ("apiserver", "scheduler")
    for name in names:
        lab.sh(host, f"cp -a {PKI}/{name}.crt /root/{name}.kept")
        lab.sh(host, f"cat >{PKI}/{name}.crt <<'END'\n{forged(lab, host, name)}END")
    try:
        yield
    finally:
        for name in names:
            lab.sh(host, f"mv /root/{name}.kept {PKI}/{name}.crt")


def forged(lab: LabCluster, host: str, name: str) -> str:
    """What the host has under a name, signed by a CA made here with the name of the cluster's."""
    ours = x509.load_pem_x509_certificate((lab.inputs / "pki/hosts" / host / f"{name}.crt").read_bytes())
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    begin, end = (now, now + timedelta(days=9)) if name == "apiserver" else (now - timedelta(days=9),) * 2
    if name == "scheduler":
        end = now - timedelta(days=3, hours=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(ours.subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    for extension in ours.extensions:
        if isinstance(extension.value, x509.AuthorityKeyIdentifier | x509.SubjectKeyIdentifier):
            continue
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName) and name == "apiserver":
            value = x509.SubjectAlternativeName([moved(lab, host, one) for one in value])
        builder = builder.add_extension(value, extension.critical)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def moved(lab: LabCluster, host: str, name: x509.GeneralName) -> x509.GeneralName:
    """A name of a certificate; an address of documentation in place of the host's own."""
    other = x509.IPAddress(type(name.value)("192.0.2.1")) if isinstance(name, x509.IPAddress) else name
    return other if str(name.value) == lab.addresses[host] else name


@contextmanager
def bound_too_far(lab: LabCluster) -> Iterator[None]:
    """The approver of requests may do everything in kube-system."""
    words = ("--clusterrole=admin", "--user=slipway:csr-approver")
    lab.kubectl("create", "rolebinding", "slipway-verify-too-far", "-n", "kube-system", *words)
    try:
        yield
    finally:
        lab.kubectl("delete", "rolebinding", "slipway-verify-too-far", "-n", "kube-system")


@contextmanager
def running(lab: LabCluster) -> Iterator[subprocess.Popen[str]]:
    """A run beside the test, with a process of its own to send signals to."""
    invoke = str(Path(sys.executable).with_name("invoke"))
    words = [invoke, "--search-root", str(REPOSITORY), "verify", "--cluster", lab.name, "--limit", hosts(lab)]
    within = ["nsenter", "--net=/run/netns/lab", "--"]
    run = subprocess.Popen(
        [*within, *words], env=environment(lab.workspace.parent), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield run
    finally:
        run.kill()
        run.wait()


def namespace_of_this_process(lab: LabCluster, name: str, like: str) -> dict[str, Any]:
    """A namespace like one that a run has made, of the process of this test."""
    metadata = lab.kubectl_json("get", "namespace", like)["metadata"]
    started = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19]
    annotations = {**metadata["annotations"], "slipway.io/process": f"{os.getpid()}@{started}"}
    annotations = {key: value for key, value in annotations.items() if key.startswith("slipway.io/")}
    labels = metadata["labels"]
    return {
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
    }  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def images(lab: LabCluster) -> None:
    """The image of the test pods on every node, also where a host was made anew since."""
    Lab().import_images(*lab.control, *lab.workers)
