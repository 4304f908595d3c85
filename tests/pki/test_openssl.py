"""OpenSSL's own verdict on what is issued: chains, purposes, names."""

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from generator.pki.certificates import certificates
from generator.pki.request import CLIENT_AUTH, SERVER_AUTH, Request
from generator.spec.model import Cluster
from tests.pki.conftest import Workspace
from tests.pki.test_certificates import DUAL

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def openssl(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture(params=["ecdsa-p256", "rsa-2048"])
def issued(workspace: Workspace, request: pytest.FixtureRequest) -> Iterator[tuple[Workspace, Cluster]]:
    workspace.now = datetime.now(UTC)  # openssl compares with the clock of the machine
    cluster = workspace.edit({**DUAL, "pki": {"algorithm": request.param, "kubeProxyCertificate": True}})
    workspace.issue()
    yield workspace, cluster


def verdict(workspace: Workspace, request: Request, ca: str, *options: str) -> subprocess.CompletedProcess[str]:
    store = workspace.store
    return openssl("verify", "-x509_strict", "-CAfile", store.path(ca), *options, store.path(request.name))


def leaves(cluster: Cluster) -> list[Request]:
    return [request for request in certificates(cluster) if not request.is_ca]


def test_every_leaf_verifies_for_what_it_is_for_and_for_nothing_else(issued: tuple[Workspace, Cluster]) -> None:
    workspace, cluster = issued
    for request in leaves(cluster):
        for usage, purpose in ((SERVER_AUTH, "sslserver"), (CLIENT_AUTH, "sslclient")):
            found = verdict(workspace, request, request.issuer, "-purpose", purpose)
            assert (found.returncode == 0) == (usage in request.usages), (request.name, purpose, found.stderr)


def test_no_leaf_verifies_under_another_ca(issued: tuple[Workspace, Cluster]) -> None:
    workspace, cluster = issued
    for request in leaves(cluster):
        for ca in {"ca", "etcd/ca", "front-proxy-ca"} - {request.issuer}:
            assert verdict(workspace, request, ca).returncode != 0, (request.name, ca)


def test_servers_answer_to_their_names_and_not_to_those_of_other_hosts(issued: tuple[Workspace, Cluster]) -> None:
    workspace, cluster = issued
    found = {request.name: request for request in certificates(cluster)}
    api = found["hosts/cp-2/apiserver"]
    for name in api.dns:
        assert verdict(workspace, api, "ca", "-verify_hostname", name).returncode == 0, name
    for address in api.ips:
        assert verdict(workspace, api, "ca", "-verify_ip", address).returncode == 0, address
    for name in ("cp-1", "kubernetes.io", "example.net", "kubernetes.default.svc.cluster.local"):
        assert verdict(workspace, api, "ca", "-verify_hostname", name).returncode != 0, name
    for address in ("10.0.0.1", "fd00::1", "8.8.8.8"):
        assert verdict(workspace, api, "ca", "-verify_ip", address).returncode != 0, address
    member = found["hosts/cp-1/etcd/server"]
    assert verdict(workspace, member, "etcd/ca", "-verify_ip", "fd00::1").returncode == 0
    assert verdict(workspace, member, "etcd/ca", "-verify_ip", "10.0.0.2").returncode != 0


def test_extensions_are_critical_where_rfc_5280_wants_them(issued: tuple[Workspace, Cluster]) -> None:
    workspace, _ = issued
    ca = openssl("x509", "-noout", "-text", "-in", workspace.store.path("ca")).stdout
    assert "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0" in ca
    assert "X509v3 Key Usage: critical\n                Digital Signature, Certificate Sign, CRL Sign" in ca
    leaf = openssl("x509", "-noout", "-text", "-in", workspace.store.path("hosts/cp-1/apiserver")).stdout
    assert "X509v3 Basic Constraints: critical\n                CA:FALSE" in leaf
    assert "X509v3 Key Usage: critical" in leaf
    assert "X509v3 Subject Key Identifier" in leaf and "X509v3 Authority Key Identifier" in leaf


def test_the_words_above_a_certificate_are_what_openssl_reads_below_them(issued: tuple[Workspace, Cluster]) -> None:
    workspace, _ = issued
    path: Path = workspace.store.path("hosts/cp-1/apiserver")
    words = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    digest = openssl("x509", "-noout", "-fingerprint", "-sha256", "-in", path).stdout.split("=")[1].strip()
    assert words["sha256"].strip() == digest.replace(":", "").lower()
    end = openssl("x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in", path).stdout.split("=")[1].strip()
    assert words["valid"].split(" to ")[1] == end.replace(" ", "T")
