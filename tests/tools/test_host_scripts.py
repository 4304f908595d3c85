"""shellcheck judges every script that runs on hosts, together with what all of them begin with."""

from __future__ import annotations

import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from fleet.host_scripts import script_text

pytestmark = pytest.mark.tools

SCRIPTS = sorted(
    entry.name.removesuffix(".sh") for entry in (files("fleet") / "scripts").iterdir() if entry.name.endswith(".sh")
)
# SC2034: what the prelude sets and a script does not use. SC3013: `-ot`, which both shells of the hosts have.
ACCEPTED = "SC2034,SC3013"


@pytest.mark.parametrize(
    "name", [name for name in SCRIPTS if name not in {"prelude", "packages", "listeners", "kernel"}]
)
def test_shellcheck_finds_nothing(name: str, tmp_path: Path) -> None:
    judge = shutil.which("shellcheck")
    if judge is None:
        pytest.skip("shellcheck is not installed")
    whole = tmp_path / f"{name}.sh"
    whole.write_text(script_text(name))
    words = [judge, "--shell=sh", "--severity=warning", f"--exclude={ACCEPTED}", str(whole)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
