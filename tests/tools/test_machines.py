"""The real programs judge what a virtual machine gets: systemd-analyze the unit, visudo the sudoers file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from generator.ci.machines import machine_files, sudoers
from tests.golden.ci_cases import MACHINE_CASES, ProjectCase
from tests.golden.pipeline_cases import PIPELINE_CASES, PipelineCase

pytestmark = pytest.mark.tools
MACHINES: list[PipelineCase | ProjectCase] = [
    *(case for case in PIPELINE_CASES if type(case) is PipelineCase and case.project().is_vm),
    *MACHINE_CASES,
]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze (package systemd)")
@pytest.mark.parametrize("case", MACHINES, ids=lambda case: case.name)
def test_systemd_reads_every_unit(case: PipelineCase | ProjectCase, tmp_path: Path) -> None:
    project = case.project()
    files = machine_files(project, project.environment_names[0])
    unit = tmp_path / files.unit_name
    unit.write_text(files.unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    # The program comes with the release, and is not here.
    said = [line for line in done.stderr.splitlines() if "is not executable: No such file" not in line]
    assert [line for line in said if files.unit_name in line] == []


@pytest.mark.skipif(not shutil.which("visudo"), reason="needs visudo (package sudo)")
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("case", MACHINES, ids=lambda case: case.name)
def test_sudo_reads_every_sudoers_file(case: PipelineCase | ProjectCase, fixed: bool, tmp_path: Path) -> None:
    file = tmp_path / "sudoers"
    file.write_text(sudoers(case.project(), unit_is_fixed=fixed))
    file.chmod(0o440)
    done = subprocess.run(["visudo", "-cf", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_user_who_may_not_change_the_unit_may_not_install_one() -> None:
    for case in MACHINES:
        text = sudoers(case.project(), unit_is_fixed=True)
        assert "install -m" not in text and "daemon-reload" not in text and "restart" in text
