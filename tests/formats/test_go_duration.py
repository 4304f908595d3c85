"""Durations of Kubernetes flags."""

from __future__ import annotations

import pytest

from generator.formats.go_duration import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("90s", 90.0), ("1m30s", 90.0), ("1.5h", 5400.0), (".5s", 0.5), ("250ms", 0.25), ("+1s", 1.0)],
)
def test_a_duration_is_read_as_go_reads_it(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "30", "-1s", "1 s", "1m30", "s", "1d", "soon"])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert seconds_of(text) is None
