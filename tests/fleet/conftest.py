"""Hosts without SSH to which a test applies, and gates that do not make it wait."""

from __future__ import annotations

from pathlib import Path

import pytest

import fleet.gates as gates
import fleet.host_gates as host_gates
from tests.fleet.place import HOSTS, Place


@pytest.fixture
def quick_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a unit count as steady at once, and a shut gate be tried again at once."""
    monkeypatch.setattr(host_gates, "STEADY_SECONDS", 0.0)
    monkeypatch.setattr(gates, "POLL_SECONDS", 0.01)


@pytest.fixture
def place(tmp_path: Path, quick_gates: None) -> Place:
    """Three hosts and a tree for them."""
    return Place(tmp_path)


@pytest.fixture
def one(place: Place) -> Place:
    """One host and a tree for it."""
    place.names = {"n1": HOSTS["n1"]}
    return place
