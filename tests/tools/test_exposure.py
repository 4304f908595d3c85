"""The table of docs/hardening.md is what systemd says now, and no unit of ours is worse than the distribution's."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.tools import exposure

pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze"),
]

_SECURITY = re.compile(r"[+~]deb12u.*")
# etcd-server is not among the programs that the tests install: it would start a member on this machine.
_SHIPPED = sorted(
    {shipped for row in exposure.ROWS.values() for shipped in row.shipped if "etcd" not in shipped.package},
    key=lambda shipped: shipped.unit,
)


@pytest.fixture(scope="module")
def measured() -> dict[str, float]:
    return exposure.exposures()


def test_every_service_has_a_row_and_every_row_a_service(measured: dict[str, float]) -> None:
    assert {*measured, exposure.CHRONY} == set(exposure.ROWS)


@pytest.mark.parametrize("unit", exposure.ROWS)
def test_a_unit_is_better_than_the_one_of_the_distribution(unit: str, measured: dict[str, float]) -> None:
    if unit not in measured:
        pytest.skip(f"{unit} is a drop-in for a unit that is not installed here")
    row = exposure.ROWS[unit]
    for shipped in row.shipped:
        if row.same:
            assert measured[unit] <= shipped.exposure
        else:
            assert measured[unit] < shipped.exposure, "harden it, or say why not"


def test_the_docs_hold_the_numbers_of_now(measured: dict[str, float]) -> None:
    if exposure.systemd_version() != exposure.SYSTEMD:
        pytest.skip(f"the table is of systemd {exposure.SYSTEMD}")
    told = exposure.documented()
    assert {name: told.get(name) for name in measured} == measured, "run python -m tests.tools.exposure"
    assert exposure.DOCS.read_text(encoding="utf-8") == exposure.page(measured)


@pytest.mark.parametrize("shipped", _SHIPPED, ids=lambda shipped: shipped.unit)
def test_the_units_of_the_distribution_are_as_told(shipped: exposure.Shipped) -> None:
    if exposure.systemd_version() != exposure.SYSTEMD:
        pytest.skip(f"the table is of systemd {exposure.SYSTEMD}")
    package, version = shipped.package.split()
    asked = ["dpkg-query", "--showformat=${Version}", "--show", package]
    here = subprocess.run(asked, capture_output=True, text=True).stdout if shutil.which("dpkg-query") else ""
    path = exposure.DISTRIBUTION / shipped.unit
    if _SECURITY.sub("", here) != _SECURITY.sub("", version) or not path.is_file():
        pytest.skip(f"{shipped.package} is not installed here")
    assert exposure.measured({shipped.unit: path.read_text()}) == {shipped.unit: shipped.exposure}


def test_units_that_are_not_better_are_explained() -> None:
    text = exposure.DOCS.read_text(encoding="utf-8").split("## Where ours is not better")[1]
    for unit, row in exposure.ROWS.items():
        if row.same:
            assert f"**{unit.removesuffix('.service')}**" in text
