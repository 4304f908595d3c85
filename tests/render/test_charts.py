"""A tree carries the charts where something of the cluster installs releases of them, and names their digests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from fleet.tree import load
from generator.errors import RenderError
from generator.render import charts
from generator.render.charts import uses_charts
from generator.render.diff import diff
from generator.render.tree import Tree, write
from generator.spec.model import Cluster
from tests.golden.cases import cluster, tree_of


@dataclass(frozen=True)
class Jenkins:
    """The section of the addon, as far as charts ask."""

    enabled: bool


@dataclass(frozen=True)
class Addons:
    """The addons of a cluster that has Jenkins."""

    jenkins: Jenkins


@dataclass(frozen=True)
class WithAddons:
    """A cluster as far as charts ask."""

    addons: Addons


def with_charts(monkeypatch: pytest.MonkeyPatch) -> Tree:
    monkeypatch.setattr(charts, "uses_charts", lambda cluster: True)
    return tree_of(cluster("minimal"))


def test_jenkins_uses_charts_and_nothing_else_does() -> None:
    assert not uses_charts(cluster("minimal")) and not uses_charts(cluster("ha"))
    for enabled in (True, False):
        found: Cluster = WithAddons(Addons(Jenkins(enabled)))  # type: ignore[assignment]
        assert uses_charts(found) is enabled


def test_the_tree_holds_the_package_and_the_bom_its_digest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain = tree_of(cluster("minimal"))
    found = with_charts(monkeypatch)
    (path,) = found.keys() - plain.keys()
    (entry,) = yaml.safe_load(found["bom.yaml"])["charts"]
    assert entry == {
        "name": "app",
        "version": path.removeprefix("charts/app-").removesuffix(".tgz"),
        "file": path,
        "sha256": hashlib.sha256(found[path]).hexdigest(),
    }
    assert {name for name in plain if plain[name] != found[name]} == {"bom.yaml"}
    assert b"charts:" not in plain["bom.yaml"]
    assert tree_of(cluster("minimal")) == found
    write(found, tmp_path / "minimal")
    assert load(tmp_path / "minimal").artifacts == load_of(plain, tmp_path / "plain")


def load_of(tree: Tree, folder: Path) -> object:
    write(tree, folder)
    return load(folder).artifacts


def test_a_diff_shows_a_package_by_its_digest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tree_of(cluster("minimal")), tmp_path / "minimal")
    found = with_charts(monkeypatch)
    (package,) = (content for path, content in found.items() if path.endswith(".tgz"))
    lines = list(diff(tmp_path / "minimal", found))
    assert f"+not text; sha256 {hashlib.sha256(package).hexdigest()}" in lines
    assert "new file" in lines and len(lines) < 30


def test_a_chart_in_a_folder_of_another_name_is_a_defect(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/Chart.yaml").write_text("{name: app, version: 1.0.0}\n")
    with pytest.raises(RenderError, match=r"Chart\.yaml names the chart app; report this as a defect"):
        charts.chart(tmp_path / "other")
