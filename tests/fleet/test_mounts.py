"""A mount of ours: an apply never takes it away, and the service that was to make it possible tells why it failed."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from fleet.activation import activate
from fleet.connection import Input, Result
from fleet.host_scripts import run_script
from fleet.tree import Phase
from fleet.work import Work
from generator.errors import GateError, HostError
from tests.fleet.local_host import LocalHost
from tests.fleet.small_tree import write_tree
from tests.fleet.test_host_gates import Told

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the host scripts give files to their owners")

RECORD = "unit:{unit}\tunit\thost-base\tdata-disk\t-\t-\t-\t-\t-\n"


def host_with(tmp_path: Path, unit: str, state: str) -> LocalHost:
    made = LocalHost("n1", tmp_path)
    made.state("").mkdir(parents=True)
    made.state("installed").write_text(RECORD.format(unit=unit))
    made.state("generation").write_text("old\n")
    (made.fake / "units").mkdir()
    (made.fake / "units" / unit).write_text(f"{state}\n")
    return made


def remove(host: LocalHost, unit: str) -> None:
    asyncio.run(run_script(host, "remove", ["new"], f"about\tsomebody\nunit\tunit:{unit}\n".encode()))


@pytest.mark.parametrize("unit", ["data.mount", r"var-lib-my\x2detcd.mount"])
def test_what_is_mounted_stays_and_the_way_is_told(tmp_path: Path, unit: str) -> None:
    host = host_with(tmp_path, unit, "active")
    with pytest.raises(HostError, match="left the spec and is mounted: an apply unmounts no data disk") as told:
        remove(host, unit)
    assert unit in str(told.value) and "move its data" in str(told.value)
    assert host.log == [] and (host.fake / "units" / unit).read_text() == "active\n"
    assert host.state("installed").read_text() == RECORD.format(unit=unit)


def test_what_somebody_has_unmounted_goes(tmp_path: Path) -> None:
    host = host_with(tmp_path, "data.mount", "inactive")
    remove(host, "data.mount")
    assert "disable data.mount" in host.log and host.state("installed").read_text() == ""


def test_other_units_are_stopped_as_ever(tmp_path: Path) -> None:
    host = host_with(tmp_path, "idle.service", "active")
    remove(host, "idle.service")
    assert "disable idle.service" in host.log


@pytest.mark.parametrize(
    "first",
    [
        "data.mount\tstart\tAssertion failed on job for data.mount.",
        "slipway-disk-data-folders.service\tstart\t",
    ],
)
def test_the_service_before_a_mount_tells_why_it_failed(tmp_path: Path, first: str) -> None:
    tree = write_tree(tmp_path, hosts={"n1": {"pool": "workers", "address": "10.0.0.1"}})

    class Failing(Told):
        async def run(self, argv: object, stdin: Input = b"", *, timeout: float = 60) -> Result:
            words = (
                f"failed\t{first}\n"
                "failed\tslipway-disk-data.service\tstart\tJob for slipway-disk-data.service failed.\nend\n"
            )
            if "journalctl" not in str(argv):
                return Result(3, words.encode(), b"")
            if "folders" in str(argv):
                return Result(0, b"folders: Job folders.service/start failed with result 'dependency'.\n", b"")
            return Result(0, b"it holds ext4\n", b"")

    host = Failing("n1", lambda argv: "")
    with pytest.raises(GateError, match=r"start slipway-disk-data\.service failed") as told:
        asyncio.run(
            activate(host, tree, tree.hosts["n1"], Phase("host-base"), Work("n1", "host-base", phases=("host-base",)))
        )
    assert "it holds ext4" in str(told.value)
