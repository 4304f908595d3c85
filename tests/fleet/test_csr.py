"""The serving rule of apply on the table of good and forged requests that the csr-approver's script is tested with."""

from __future__ import annotations

import pytest

from fleet.csr import refusal, request_line
from fleet.der import DerError, elements, only
from tests.components.test_csr_approver import node_lines
from tests.serving.cases import CASES, NAMED, OWN, Case

ALL = (*CASES, *NAMED)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.what)
def test_the_table(case: Case) -> None:
    if case.conditions:
        return  # decided already; nobody asks the rule
    why = refusal(case.object(7), node_lines())
    assert (why == "") == case.good, why


def test_a_node_that_is_not_listed_stays_pending() -> None:
    case = Case("x", True, OWN)
    assert refusal(case.object(0), {}) == "system:node:w1 is no node of the rendered list"


def test_a_line_of_another_node_is_no_licence() -> None:
    lines = dict(node_lines())
    lines["w1"] = lines["w2"]
    assert "are not those of node w1" in refusal(Case("x", True, OWN).object(0), lines)


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\x80\x00\x00",  # indefinite length
        b"\x30\x81\x01\x00",  # a long form where the short one fits
        b"\x30\x82\x00\x80" + b"\0" * 128,  # a zero octet too many
        b"\x30\x05\x02\x01",  # cut off
        b"\x1f\x81\x01\x00",  # a tag of more than one octet
        b"\x30",
    ],
)
def test_what_is_no_strict_der_is_refused(data: bytes) -> None:
    with pytest.raises(DerError):
        elements(data)
    with pytest.raises(DerError):
        request_line(data)


def test_elements_keep_their_bytes() -> None:
    data = bytes.fromhex("3006020100020101")
    outer = only(data, 0x30)
    assert outer.whole == data
    assert [child.content for child in outer.children()] == [b"\x00", b"\x01"]
    with pytest.raises(DerError):
        outer.children()[0].children()
