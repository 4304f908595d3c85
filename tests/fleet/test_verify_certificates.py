"""Certificates are read from hosts by the real script, judged, and no key leaves a host."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fleet.inventory import Host, Pool, Ssh
from fleet.verify.certificates import HostFiles, expected_leaves, judged, listed_names, read_files
from fleet.verify.page import Certificate, Page
from generator.pki.issuing import certificate_pem
from generator.pki.keys import key_pem
from tests.fleet.certificate_maker import CLIENT, NOW, TestCa, subject
from tests.fleet.local_host import LocalHost

CA = TestCa.made()
LEAF = "/etc/etcd/pki/server.crt"
CLIENT_PEM = "/var/lib/kubelet/pki/kubelet-client-current.pem"
SERVING_PEM = "/var/lib/kubelet/pki/kubelet-server-current.pem"
POOL = Pool("workers", frozenset({"worker"}), (), "debian-12", "amd64", "1", {}, ())
HOST = Host("w1", POOL, "10.0.0.5", "w1", "", {}, Ssh(), ())
NODE = subject((NameOID.ORGANIZATION_NAME, "system:nodes"), (NameOID.COMMON_NAME, "system:node:w1"))
# SubjectAltName: DNS:w1, IP:10.0.0.5
LISTED = {"w1": "00 300a82027731" + "87040a000005"}
CA_FILE = "/etc/kubernetes/pki/ca.crt"


def page(fingerprint: str = "ab") -> Page:
    leaf = Certificate(
        "hosts/w1/etcd/server", "CN=etcd-1", ("DNS:host", "IP:10.0.0.5"), ("digital signature", "server auth"), "ca",
        fingerprint, "w1", ((LEAF, "w1"),),
    )  # fmt: skip
    ca = Certificate("ca", "CN=kubernetes", (), ("cert sign",), "ca", "cd", "", ((CA_FILE, "control-plane, worker"),))
    return Page("image", "cluster.local", (), (), 30, CLIENT_PEM, SERVING_PEM, (), (), (ca, leaf))


def good() -> dict[str, tuple[object, ...]]:
    return {
        CA_FILE: (CA.certificate,),
        LEAF: CA.leaf()[:1],
        CLIENT_PEM: CA.leaf((), who=NODE, extended=(CLIENT,), plain=("digital_signature", "key_encipherment"))[:1],
        SERVING_PEM: CA.leaf(("DNS:w1", "IP:10.0.0.5"), who=NODE)[:1],
    }


def causes(chains: dict[str, tuple[object, ...]], ahead: float = 0, fingerprint: str = "ab") -> list[str]:
    files = HostFiles("w1", timedelta(seconds=ahead), chains)  # type: ignore[arg-type]
    findings, _ = judged(page(fingerprint), HOST, files, {"ca": (CA.certificate,)}, LISTED, NOW)
    return [f"{one.cause}; {one.todo}" for one in findings]


def test_what_is_right_has_no_finding() -> None:
    assert causes(good()) == []


def test_the_kubelets_names_come_from_the_reviewed_list() -> None:
    assert listed_names(LISTED["w1"]) == ("DNS:w1", "IP:10.0.0.5")
    assert listed_names("") == ()
    serving = expected_leaves(page(), HOST, LISTED)[-1]
    assert serving.wanted.sans == ("DNS:w1", "IP:10.0.0.5")
    assert serving.wanted.subject == "O=system:nodes, CN=system:node:w1"


def test_a_kubelet_that_serves_for_another_address_is_named() -> None:
    (found,) = causes({**good(), SERVING_PEM: CA.leaf(("DNS:w1", "IP:10.0.0.9"), who=NODE)[:1]})
    assert "the kubelet's serving certificate" in found
    assert "names IP:10.0.0.9, the host has IP:10.0.0.5" in found
    assert "journalctl -u kubelet" in found


def test_a_missing_file_and_a_broken_one_differ() -> None:
    chains = good()
    del chains[LEAF]
    assert "is not there" in causes(chains)[0]
    assert "is no certificate" in causes({**good(), LEAF: ()})[0]


def test_what_to_do_follows_from_whether_the_rendered_one_has_expired() -> None:
    from fleet.verify.judgement import fingerprint

    old = CA.leaf(days=(-20, -3))[:1]
    assert "invoke certs.renew" in causes({**good(), LEAF: old}, fingerprint=fingerprint(old[0]))[0]
    assert "run `invoke apply`, which puts the rendered one there" in causes({**good(), LEAF: old})[0]


def test_another_ca_on_the_host_is_named() -> None:
    (found,) = causes({**good(), CA_FILE: (TestCa.made().certificate,)})
    assert f"CA ca: {CA_FILE} holds another CA than the cluster's" in found


@pytest.mark.parametrize(("ahead", "words"), [(3600, "1 hour ahead of"), (-120, "2 minutes behind")])
def test_a_wrong_clock_is_named(ahead: float, words: str) -> None:
    (found,) = causes(good(), ahead)
    assert words in found and "chrony" in found
    assert causes(good(), 59) == []


def test_certificates_near_their_end_are_notes_but_not_those_that_renew_themselves() -> None:
    soon = {**good(), LEAF: CA.leaf(days=(-1, 5))[:1], SERVING_PEM: CA.leaf(("DNS:w1", "IP:10.0.0.5"), who=NODE,
                                                                              days=(-1, 5))[:1]}  # fmt: skip
    files = HostFiles("w1", timedelta(), soon)  # type: ignore[arg-type]
    findings, notes = judged(page(), HOST, files, {"ca": (CA.certificate,)}, LISTED, NOW)
    assert not findings
    assert len(notes) == 1 and notes[0].startswith("w1: etcd/server expires in 5 days")


def test_no_key_leaves_a_host(tmp_path: Path) -> None:
    """The kubelet keeps certificate and key in one file; a file cut off in its certificate gives no key either."""
    local = LocalHost("w1", tmp_path)
    certificate, key = CA.leaf()
    pem, secret = certificate_pem(certificate), key_pem(key).decode()
    begun = pem[: len(pem) // 2].rsplit("\n", 1)[0] + "\n"
    texts = {"/both.pem": pem + secret, "/reversed.pem": secret + pem, "/cut.pem": begun + secret, "/chain.crt":
             f"words: above\n{pem}\n{certificate_pem(CA.certificate)}", "/noise.crt": "no certificate\n",
             "/unended.crt": pem.rstrip("\n")}  # fmt: skip
    for name, text in texts.items():
        (local.root / name[1:]).write_text(text)
    answers: list[bytes] = []
    run = local.run

    async def listening(*words, **more):
        result = await run(*words, **more)
        answers.append(result.stdout)
        return result

    local.run = listening  # type: ignore[method-assign]
    asked = datetime.now(UTC)
    found = asyncio.run(read_files(HOST, local, [*texts, "/missing.crt"], asked))
    answered = datetime.now(UTC)
    assert {path: len(chain) for path, chain in found.chains.items()} == {
        "/both.pem": 1, "/reversed.pem": 1, "/cut.pem": 0, "/chain.crt": 2, "/noise.crt": 0, "/unended.crt": 1,
    }  # fmt: skip
    assert timedelta(seconds=-2) <= found.ahead <= answered - asked
    assert found.chains["/both.pem"][0].public_bytes(Encoding.PEM).decode() == pem
    for line in secret.splitlines()[1:-1]:
        assert line.encode() not in b"".join(answers)
