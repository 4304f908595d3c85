"""Words about project files: docs/project-reference.md and their JSON Schema; run as a module it writes both."""

from __future__ import annotations

import json
from pathlib import Path

from generator.ci.languages import LANGUAGES, PHP_CLI_IMAGE
from generator.ci.schema import ProjectSpec, json_schema
from generator.spec.reference import option_table, options

PAGE = Path(__file__).parents[2] / "docs" / "project-reference.md"
SCHEMA = Path(__file__).with_name("project.schema.json")


def reference_page() -> str:
    """Return docs/project-reference.md."""
    lines = [
        "# The project file",
        "",
        "Every key that may stand in `clusters/<c>/projects/<name>.yaml`. `make docs` writes this page from the schema",
        "in `generator/ci/`; a test keeps it current. `environments.<name>` is one of dev, qa, pre, prd; `[]` is an",
        "entry of a list. How the file is used stands in [ci.md](ci.md).",
        "",
        *option_table(options(ProjectSpec)),
        "",
        "## What suits a language",
        "",
        "`{name}` is the project's name, `{artifact}` the last part of `build.artifact`, `{folder}` is `/app` in a",
        "container and the release's folder on a virtual machine.",
        "",
        "| Language | build.image | run.image | build.command | build.artifact | run.command |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in LANGUAGES.items():
        run = f"`{' '.join(one.run)}`" if one.run else "required"
        image = f"`{one.run_image}`" + (f", with a run.command `{PHP_CLI_IMAGE}`" if name == "php" else "")
        build = f"`{one.build}`" if one.build else "none"
        artifact = f"`{one.artifact}`" if one.artifact else "the whole repository"
        lines.append(f"| {name} | `{one.build_image}` | {image} | {build} | {artifact} | {run} |")
    return "\n".join(lines) + "\n"


def schema_text() -> str:
    """Return project.schema.json."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(reference_page(), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
