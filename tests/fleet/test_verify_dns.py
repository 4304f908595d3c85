"""The question and the answer of DNS over TCP, byte for byte."""

from __future__ import annotations

import struct

import pytest

from fleet.verify.dns import addresses, query

NAME = "kubernetes.default.svc.cluster.local"


def answer(*records: bytes, flags: int = 0x8180, number: int = 0x5157) -> bytes:
    question = query(NAME)[14:]
    message = struct.pack(">HHHHHH", number, flags, 1, len(records), 0, 0) + question + b"".join(records)
    return struct.pack(">H", len(message)) + message


def record(kind: int, data: bytes) -> bytes:
    return b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 30, len(data)) + data


def test_a_question_is_one_name_of_class_internet() -> None:
    asked = query("a.example")
    assert asked == b"\0\x1b" + b"QW\1\0\0\1\0\0\0\0\0\0" + b"\1a\7example\0" + b"\0\1\0\1"
    assert query("a.example", ipv6=True)[-4:] == b"\0\x1c\0\1"


def test_addresses_are_read_behind_other_records() -> None:
    alias = record(5, b"\1b\xc0\x0c")
    assert addresses(answer(alias, record(1, bytes([10, 96, 0, 1])))) == ["10.96.0.1"]
    assert addresses(answer(record(28, bytes(15) + b"\1"))) == ["::1"]
    assert addresses(answer()) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (answer(flags=0x8183), "no such name"),
        (answer(flags=0x8185), "refused"),
        (answer(number=1), "no answer to the question"),
        (answer(flags=0x0100), "no answer to the question"),
        (answer(record(1, bytes(4)))[:-9], "cut off"),
        (b"", "cut off"),
        (b"\0", "cut off"),
        (answer(record(1, bytes(3))), "address"),
    ],
)
def test_what_is_no_answer_is_said_in_words(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        addresses(data)
