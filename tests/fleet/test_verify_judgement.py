"""Every fault that a certificate can have is named in words, and a good one has none."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from fleet.verify.judgement import Wanted, certificate_faults, ends_soon, span, words_of
from tests.fleet.certificate_maker import CLIENT, NOW, SERVER, TestCa, subject

CA, ETCD = TestCa.made("kubernetes"), TestCa.made("etcd-ca")
AUTHORITIES = {"ca": (CA.certificate,), "etcd/ca": (ETCD.certificate,)}
WANTED = Wanted("ca", "CN=etcd-1", ("DNS:host", "IP:10.0.0.5"), (frozenset({"digital signature", "server auth"}),))


def faults(certificate: x509.Certificate, wanted: Wanted = WANTED) -> tuple[str, ...]:
    return certificate_faults(certificate, wanted, AUTHORITIES, NOW)


def test_a_good_certificate_has_no_fault() -> None:
    assert faults(CA.leaf()[0]) == ()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: CA.leaf(days=(-20, -3)), "expired 3 days ago ("),
        (lambda: CA.leaf(days=(2, 20)), "is not valid for another 2 days ("),
        (lambda: ETCD.leaf(), "is signed by the CA etcd/ca, not by ca"),
        (lambda: TestCa.made("stranger").leaf(), "is signed by another CA (CN=stranger), not by ca"),
        (lambda: TestCa.made().leaf(), "is signed by another CA, which has the name of ours (CN=kubernetes)"),
        (lambda: CA.leaf(("DNS:host", "IP:10.0.0.4")), "names IP:10.0.0.4, the host has IP:10.0.0.5"),
        (lambda: CA.leaf(("DNS:host",)), "does not name IP:10.0.0.5"),
        (lambda: CA.leaf(()), "does not name DNS:host, IP:10.0.0.5"),
        (lambda: CA.leaf(("DNS:evil", "DNS:host", "IP:10.0.0.5")), "names DNS:evil besides what it may name"),
        (lambda: CA.leaf(extended=(CLIENT,)), "is not good for server auth"),
        (lambda: CA.leaf(extended=(SERVER, CLIENT)), "is also good for client auth, which it must not be"),
        (lambda: CA.leaf(extended=()), "is not good for server auth"),
        (lambda: CA.leaf(is_ca=True), "is itself a CA, which no leaf may be"),
        (
            lambda: CA.leaf(who=subject((NameOID.ORGANIZATION_NAME, "system:masters"), (NameOID.COMMON_NAME, "x"))),
            "is for O=system:masters, CN=x, not for CN=etcd-1",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_named(made, words: str) -> None:
    found = faults(made()[0])
    assert any(one.startswith(words) for one in found), found


def test_only_the_fault_is_named() -> None:
    assert len(faults(CA.leaf(("DNS:host", "IP:10.0.0.4"))[0])) == 1
    assert len(faults(ETCD.leaf()[0])) == 1


def test_an_expired_ca_is_a_fault_of_what_it_signed() -> None:
    old = TestCa.made("kubernetes", (-100, -2))
    found = certificate_faults(old.leaf()[0], WANTED, {"ca": (old.certificate,)}, NOW)
    assert [one.partition(" (")[0] for one in found] == ["its CA ca expired 2 days ago"]


def test_a_ca_above_ours_counts_too() -> None:
    above = TestCa.made("root", (-100, -2))
    found = certificate_faults(CA.leaf()[0], WANTED, {"ca": (CA.certificate, above.certificate)}, NOW)
    assert [one.partition(" (")[0] for one in found] == ["its CA ca expired 2 days ago"]


def test_one_of_several_sets_of_usages_is_enough() -> None:
    either = Wanted(
        "ca", "CN=etcd-1", WANTED.sans,
        (frozenset({"digital signature", "server auth"}),
         frozenset({"digital signature", "key encipherment", "server auth"})),
    )  # fmt: skip
    assert faults(CA.leaf(plain=("digital_signature", "key_encipherment"))[0], either) == ()
    assert faults(CA.leaf(plain=("digital_signature", "crl_sign"))[0], either) == (
        "is also good for crl sign, which it must not be",
    )


def test_an_end_that_is_near_is_told_and_a_far_one_is_not() -> None:
    assert ends_soon(CA.leaf(days=(-1, 12))[0], NOW, 30).startswith("expires in 12 days (")
    assert ends_soon(CA.leaf(days=(-1, 31))[0], NOW, 30) == ""


def test_words_are_those_of_the_rendered_page() -> None:
    certificate, _ = CA.leaf(("IP:fd00::5", "DNS:host"), extended=(SERVER, CLIENT))
    found = words_of(certificate)
    assert (found.subject, found.sans) == ("CN=etcd-1", ("IP:fd00::5", "DNS:host"))
    assert found.usages == {"digital signature", "server auth", "client auth"}


def test_a_name_cannot_steer_the_terminal() -> None:
    other = CA.leaf(who=subject((NameOID.COMMON_NAME, "a\x1b[2Jb")))[0]
    assert "\x1b" not in "".join(faults(other))


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(days=1), "1 day"), (timedelta(days=40), "40 days"), (timedelta(hours=5, minutes=59), "5 hours"),
        (timedelta(minutes=1), "1 minute"), (timedelta(seconds=1), "1 second"), (timedelta(), "0 seconds"),
    ],
)  # fmt: skip
def test_spans(length: timedelta, words: str) -> None:
    assert span(length) == words
