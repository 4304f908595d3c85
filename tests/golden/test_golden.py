"""Every byte of every golden case is what the inputs give; missing, extra and stale files fail."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.golden.cases import CASES, CLUSTERS, GOLDEN, Case, differences


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.folder.parent.name}/{case.name}")
def test_golden(case: Case) -> None:
    found = differences(case.expected(), case.actual())
    more = f"\n… and {len(found) - 200} lines more" if len(found) > 200 else ""
    assert not found, "run `make golden` and review what it writes:\n" + "\n".join(found[:200]) + more


def test_there_are_exactly_two_whole_trees() -> None:
    assert CLUSTERS == ["ha", "minimal"]


def test_every_variation_changes_something_and_says_what_it_is_about() -> None:
    for path in sorted((GOLDEN / "variations").iterdir()):
        case = yaml.safe_load((path / "case.yaml").read_text())
        assert set(case) <= {"about", "base", "patch", "keys"} and case["about"].strip(), path.name
        assert any((path / "rendered").rglob("*")) or (path / "vanished.txt").is_file(), path.name


def test_no_golden_holds_pem() -> None:
    for path in GOLDEN.rglob("*"):
        if path.is_file() and path.suffix != ".py":
            assert not re.search(rb"-----BEGIN [A-Z ]+-----\n[A-Za-z0-9+/=]{16}", path.read_bytes()), path
