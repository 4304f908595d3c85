"""A step that is killed between two writes leaves whole files, and made again it ends as if nothing had happened."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from generator.pki.rotation import ENCRYPTION, SERVICE_ACCOUNT, Place, add_key, drop_keys, promote_key, settle
from generator.pki.rotation_state import Kind
from generator.sealing import unseal_file
from generator.spec import load
from tests.render.workspace import Workspace

FACTS = {"time": "2030-05-17T12:30:00Z"}
STEPS: tuple[Callable[[Place, Kind], object], ...] = (
    add_key,
    promote_key,
    lambda place, kind: settle(place, kind, FACTS),
    drop_keys,
)


@pytest.fixture(scope="module", params=[ENCRYPTION, SERVICE_ACCOUNT], ids=lambda kind: kind.lead)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, kind: Kind) -> Workspace:
    space = Workspace(tmp_path_factory.mktemp("begun"))
    space.render()
    return space


def inputs_of(space: Workspace) -> dict[str, bytes]:
    return {
        path.relative_to(space.inputs).as_posix(): path.read_bytes()
        for path in sorted(space.inputs.rglob("*"))
        if path.is_file()
    }


def killed_at(write: int, act: Callable[[], object]) -> bool:
    """Act in a process that dies at its n-th rename, counted from 0; return whether it came that far."""
    child = os.fork()
    if child == 0:
        seen = 0
        rename = os.replace

        def counted(*args: object) -> None:
            nonlocal seen
            if seen == write:
                os._exit(9)
            seen += 1
            rename(*args)  # type: ignore[arg-type]

        os.replace = counted  # type: ignore[assignment]
        try:
            act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 9}
    return code == 9


def _make(step: Callable[[Place, Kind], object], space: Workspace, kind: Kind) -> None:
    step(place(space), kind)


def test_a_killed_step_is_made_again(begun: Workspace, kind: Kind) -> None:
    for number, step in enumerate(STEPS):
        before = shutil.copytree(begun.root, begun.root.parent / f"before-{kind.lead}-{number}")
        deaths = 0
        while True:
            shutil.rmtree(begun.root)
            shutil.copytree(before, begun.root)
            there = begun.tree()
            if not killed_at(deaths, partial(_make, step, begun, kind)):
                break
            deaths += 1
            # The step was not made: no other key leads or is known, and what hosts get is what they had.
            begun.render()
            assert begun.tree() == there
            assert not list(begun.inputs.rglob(".*.slipway")), "what a killed step left beside is swept"
            step(place(begun), kind)
            state = place(begun).rotation(kind)
            assert state.newest in {"encryption/2", "sa-2"} and len({*state.known, *state.retired}) == 2
            for name in state.known:
                sealed = begun.inputs / (f"secrets/{name}.age" if kind is ENCRYPTION else f"pki/{name}.key.age")
                assert unseal_file(sealed, begun.identity())
        assert deaths >= (3 if step is add_key else 1), "it was killed before each of its writes"
        begun.render()
        if step is not STEPS[2]:
            assert begun.tree() != there


def place(space: Workspace) -> Place:
    return Place(load(space.root, "prod"), space.inputs)


def test_a_sealed_key_that_a_killed_step_left_is_taken_up(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    space.render()
    assert killed_at(2, lambda: add_key(place(space), ENCRYPTION)), "state, key, then the index"
    left = (space.inputs / "secrets/encryption/2.age").read_bytes()
    add_key(place(space), ENCRYPTION)
    assert (space.inputs / "secrets/encryption/2.age").read_bytes() == left
    assert not (space.inputs / "secrets/encryption/3.age").exists()
    space.render()
    again = inputs_of(space)
    space.render()
    assert inputs_of(space) == again
