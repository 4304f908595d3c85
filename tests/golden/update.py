"""`make golden`: write what the inputs give now, print the diff, and fail where there is one for somebody to read."""

from __future__ import annotations

import sys
from pathlib import Path

from generator.render.tree import write
from tests.ci.error_cases import PROJECTS
from tests.errors.cases import CLUSTERS
from tests.golden.addon_cases import ADDON_CASES, AddonCase
from tests.golden.cases import CASES, Case
from tests.golden.chart_cases import CHART_CASES, ChartCase
from tests.golden.ci_cases import PROJECT_CASES, ProjectCase
from tests.golden.kept import VANISHED, differences
from tests.golden.pipeline_cases import PIPELINE_CASES, PipelineCase


def update(case: Case | AddonCase | ProjectCase | ChartCase | PipelineCase) -> list[str]:
    """Write one case and return the diff."""
    actual = dict(case.actual())
    found = differences(case.expected(), actual)
    if not found:
        return []
    vanished = actual.pop(VANISHED, None)
    write(actual, case.folder / "rendered")
    path: Path = case.folder / VANISHED
    if vanished is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(vanished)
    return found


def main() -> int:
    """Update all cases; return 1 where any changed."""
    changed = 0
    every = (*CASES, *ADDON_CASES, *PROJECT_CASES, *CHART_CASES, *PIPELINE_CASES)
    for case in every:
        found = update(case)
        if found:
            changed += 1
            print(f"=== {case.folder.parent.name}/{case.name}")
            print("\n".join(found))
    messages = CLUSTERS.update() | PROJECTS.update()
    print(f"{changed} of {len(every)} golden cases changed" + ("; review them and commit" if changed else ""))
    return 1 if changed or messages else 0


if __name__ == "__main__":
    sys.exit(main())
