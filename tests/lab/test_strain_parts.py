"""The parts of the strain tests that can be judged without a lab: when a kill counts, and what a secret looks like."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.lab.conftest import ORDER
from tests.lab.killing import Attempt, Event, Moment
from tests.lab.load import Seen
from tests.lab.secret_search import Needles, in_files, key_forms, value_forms
from tests.lab.snapshot import differing

PHASE: Event = {"event": "phase", "phase": "etcd"}
HOST: Event = {"event": "host", "phase": "etcd", "host": "q1"}
NEXT: Event = {"event": "phase", "phase": "nodes"}
LATER: Event = {"event": "host", "phase": "nodes", "host": "q1"}


@pytest.mark.parametrize(
    ("activated", "before", "after", "struck"),
    [
        (False, [PHASE], [], False),
        (False, [PHASE], [HOST], True),
        (False, [PHASE], [HOST, LATER], None),
        (True, [PHASE, HOST], [HOST, NEXT], True),
        (True, [PHASE, HOST], [HOST, NEXT, LATER], None),
        (True, [PHASE], [], None),
    ],
)
def test_where_a_kill_struck_is_known_by_what_was_activated(
    activated: bool, before: list[Event], after: list[Event], struck: bool | None
) -> None:
    attempt = Attempt(exit=-signal.SIGKILL, before=before, after=after)
    assert Moment("etcd", activated).met_by(attempt) == (None if struck is None else Moment("etcd", struck))
    assert Moment("etcd", activated).met_by(Attempt(exit=0, before=before, after=after)) is None


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_key_is_known_in_every_form_and_its_public_half_is_none(kind: str) -> None:
    for _ in range(20 if kind == "ec" else 1):
        key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        needles = Needles(dict.fromkeys(key_forms(pem), "pki/x"))
        for form in (pem, pem.splitlines()[2 if kind == "rsa" else 1], der, der.hex().encode()):
            assert needles.within(b"some text " + form + b" and more") == {"pki/x"}
        if kind == "ec":
            public = key.public_key()
            assert needles.within(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)) == set()
            # The end of the PEM is the public half.
            assert pem.splitlines()[-2] not in needles.values


def test_a_value_in_base64_is_known_bare_too() -> None:
    assert {b"MDEyMzQ1Njc4OWFiY2RlZg==", b"0123456789abcdef"} <= value_forms(b"MDEyMzQ1Njc4OWFiY2RlZg==\n")


def test_files_are_searched_for_text_and_bytes(tmp_path: Path) -> None:
    needles = Needles({b"A" * 64: "text", b"\0\1two\nparts of it\xff": "bytes"})
    contents = {
        "text": b"x\n" + b"A" * 64,
        "bytes": b"\0\0\1two\nparts of it\xff\0",
        "none": b"parts of it\xfe",
        "empty": b"",
    }
    for name, content in contents.items():
        (tmp_path / "below" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "below" / name).write_bytes(content)
    (tmp_path / "a link").symlink_to(tmp_path / "below" / "text")
    found = {(path.name, owner) for path, owners in in_files([tmp_path], needles) for owner in owners}
    assert found == {("text", "text"), ("bytes", "bytes")}
    assert list(in_files([tmp_path], needles, newer=time.time() + 60)) == []


def test_states_differ_in_words() -> None:
    assert differing({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == ["b: 2 | 3", "c: not there | 4"]


def test_the_pair_is_killed_before_it_is_left_quiet_and_judged_last() -> None:
    quiet = ORDER.index("test_quiet_rotation::test_the_quiet_begins")
    assert ORDER.index("test_kills") < quiet < ORDER.index("*") < ORDER.index("test_quiet_rotation") == len(ORDER) - 1


def test_an_outage_at_either_edge_is_a_gap() -> None:
    writes = {number: 5 + number / 10 for number in range(100)}
    assert Seen(writes, last_sent=15).longest_gap == 5
    assert Seen(writes, ["write 101: refused"], last_sent=60).longest_gap > 45
    assert Seen(last_sent=12).longest_gap == 12
