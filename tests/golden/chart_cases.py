"""The golden cases of the chart: the objects of each golden project's environments, and the digest of the package.

ci/chart/<case>/<environment>.yaml   what helm makes of ci/<case>/rendered/values-<environment>.yaml for MINOR
ci/chart/package/package.yaml        the package; a chart that is another one is another version
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from generator.ci.project import Project
from generator.formats.yaml_text import yaml_text
from generator.render.charts import CHARTS, chart
from generator.render.tree import read_tree
from tests.ci.helm import program, template
from tests.golden.ci_cases import CONTAINER_CASES, FOLDER, ProjectCase

APP = CHARTS / "app"
MINOR = "1.36"


@dataclass(frozen=True)
class ChartCase:
    """The chart with the values of one project, or as a package where there is none."""

    project: ProjectCase | None

    @property
    def name(self) -> str:
        """The project's name as a case."""
        return self.project.name if self.project else "package"

    @property
    def folder(self) -> Path:
        """Where the case stands."""
        return FOLDER / "chart" / self.name

    def expected(self) -> dict[str, bytes]:
        """Return what was written down."""
        rendered = self.folder / "rendered"
        return read_tree(rendered) if rendered.is_dir() else {}

    def actual(self) -> Mapping[str, bytes]:
        """Return what is to be written down; without helm the objects stay as they are."""
        if self.project is None:
            made = chart(APP)
            return {"package.yaml": yaml_text({"file": made.path, "sha256": made.sha256}).encode()}
        if program() is None:
            return self.expected()
        project = self.project.project()
        return {
            f"{name}.yaml": template(APP, project.name, chart_values(self.project, project, name), MINOR).encode()
            for name in project.environment_names
        }


def chart_values(case: ProjectCase, project: Project, environment: str) -> str:
    """Return the values of a golden project as they stand in its case."""
    return case.actual()[f"values-{environment}.yaml"].decode()


CHART_CASES = [ChartCase(None), *(ChartCase(case) for case in CONTAINER_CASES)]
