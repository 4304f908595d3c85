"""The package of the chart: the same bytes from any checkout, and taken by the real helm."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import tempfile
from pathlib import Path

import pytest
import yaml

from generator.render import charts
from generator.render.charts import chart
from tests.ci.chart_values import FULL
from tests.ci.helm import helm, surroundings, template
from tests.golden.chart_cases import APP


def test_the_package_is_the_same_from_any_checkout(tmp_path: Path) -> None:
    copied = tmp_path / "app"
    shutil.copytree(APP, copied)
    for path in copied.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
            path.chmod(0o600)
    (copied / "templates/.deployment.yaml.swp").write_text("what an editor leaves")
    (copied / "values.yaml~").write_text("what an editor leaves")
    assert chart(copied).package == chart(APP).package


def test_the_package_holds_the_chart_and_nothing_of_the_machine() -> None:
    package = chart(APP).package
    assert package[4:8] == bytes(4)  # no time
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(package))) as archive:
        found = archive.getmembers()
        content = {one.name: archive.extractfile(one).read() for one in found}  # type: ignore[union-attr]
    assert {(one.mode, one.uid, one.gid, one.uname, one.gname, one.mtime) for one in found} == {
        (0o644, 0, 0, "", "", 1)
    }
    assert [one.name for one in found] == sorted(content)
    assert content == {f"app/{path.relative_to(APP)}": path.read_bytes() for path in APP.rglob("*") if path.is_file()}


@pytest.mark.parametrize("size", [0, 1, 0xFFFF, 0x10000, 3 * 0xFFFF + 5])
def test_a_gzip_of_any_size_is_one(size: int) -> None:
    content = bytes(number % 251 for number in range(size))
    assert gzip.decompress(charts._gzip(content)) == content


def test_helm_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    surroundings.cache_clear()
    template(APP, "hello", FULL, "1.30")
    surroundings.cache_clear()
    assert not list(tmp_path.iterdir())


def test_helm_takes_the_package(tmp_path: Path) -> None:
    made = chart(APP)
    package = tmp_path / made.path
    package.parent.mkdir()
    package.write_bytes(made.package)
    shown = yaml.safe_load(helm("show", "chart", str(package)).stdout)
    assert (shown["name"], shown["version"]) == (made.name, made.version)
    assert template(package, "hello", FULL, "1.30") == template(APP, "hello", FULL, "1.30")
    assert helm("lint", "--strict", str(package), values=FULL).returncode == 0
