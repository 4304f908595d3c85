"""Hosts without SSH to which a test applies, gates that do not make it wait, and an API with a store behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

import fleet.gates as gates
import fleet.host_gates as host_gates
from tests.fleet.api_stand_in import Pki
from tests.fleet.object_store import ObjectStore, Run, with_store
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


@pytest.fixture(scope="module")
def pki() -> Pki:
    """Certificates of an API and of those who ask it."""
    return Pki()


@pytest.fixture
def store() -> ObjectStore:
    """Objects of an API that holds none yet."""
    return ObjectStore()


@pytest.fixture
def run(pki: Pki, tmp_path: Path, store: ObjectStore) -> Run:
    """Run an action with a client of an API that answers from `store`."""
    return lambda action: with_store(pki, tmp_path, store, action)
