from __future__ import annotations

from pathlib import Path

import pytest

from tests.render.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that was rendered once; tests edit its inputs and take the edit back."""
    space = Workspace(tmp_path_factory.mktemp("workspace"))
    space.render()
    return space
